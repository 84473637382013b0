"""One file per command: its arguments, and what it prints."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """`--set KEY=VALUE`, as `recipes.override` takes them."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="change a recipe field, e.g. --set epochs=3; may be given several times",
    )


def add_nets(parser: argparse.ArgumentParser) -> None:
    """Which trained nets, as `nets.load` takes them."""
    group = parser.add_argument_group("nets")
    group.add_argument(
        "--model",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="model.keras files, such as `train` writes; several are taken together",
    )
    group.add_argument("--network", help="a network of the table, with --weights")
    group.add_argument("--weights", metavar="ROW|FILE", help="published weights, or a file")
    group.add_argument(
        "--preprocessing",
        choices=("caffe", "torch"),
        help="what a weights file or model needs of its input; published weights say so themselves",
    )
    group.add_argument("--labels", type=Path, metavar="FILE", help="class names, one per line")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Which data set, as `datasets.load` takes it."""
    parser.add_argument(
        "--dataset",
        choices=("digits", "cifar10", "imagenet2012", "folder"),
        default="digits",
        help="its test images are seen (imagenet2012: the validation images)",
    )
    parser.add_argument(
        "--data-dir", help="where the data set lies (default: TFDS_DATA_DIR, else TFDS's own)"
    )
