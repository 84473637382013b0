"""`python -m training arrays`."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.data import array_files, datasets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", choices=array_files.NAMES, default="cifar10")
    parser.add_argument(
        "--data-dir", help="where it lies (default: TFDS_DATA_DIR, else TFDS's own)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="directory for the .npz files; --data-dir there"
    )
    parser.add_argument(
        "--max-mib", type=float, default=60.0, help="size of a part before compression, MiB"
    )


def run(options: argparse.Namespace) -> None:
    dataset = datasets.load(options.dataset, options.data_dir)
    for path in array_files.write(dataset, options.out, options.max_mib):
        print(f"{path}  {path.stat().st_size / array_files.MIB:.1f} MiB")
