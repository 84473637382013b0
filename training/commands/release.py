"""`python -m training release`."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.commands import options as shared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_directory", type=Path, help="the directory of a finished run of `train`"
    )
    shared.add_data_dir(parser)
    parser.add_argument(
        "--out",
        type=Path,
        help="the folder for the weights (default: the package's own, keras_resnet/pretrained)",
    )


def run(options: argparse.Namespace) -> None:
    from keras_resnet.files import PRETRAINED
    from training.paper.release import release

    released = release(options.run_directory, options.data_dir, options.out or PRETRAINED)
    print(f"{released.file}: {released.file.stat().st_size:,} bytes; its facts are beside it")
    print(f"for PUBLISHED_WEIGHTS in keras_resnet/weights/published.py:\n    {released.row}")
