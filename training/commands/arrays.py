"""`python -m training arrays`."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.commands import options as shared
from training.common import numeric
from training.data.prepared import array_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dataset", choices=array_files.NAMES, default="cifar10", help="the data set to write"
    )
    shared.add_data_dir(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="the directory for the .npz files, which --data-dir names on the other machine",
    )
    parser.add_argument(
        "--max-mib",
        type=numeric.amount,
        default=60.0,
        help="the greatest size of a file before compression, in MiB",
    )


def run(options: argparse.Namespace) -> None:
    dataset = shared.load_dataset(options)
    for path in array_files.write(dataset, options.out, options.max_mib):
        print(f"{path}  {path.stat().st_size / array_files.MIB:.1f} MiB")
