"""`python -m training networks`: every network's cost beside the paper's."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from training.common.errors import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "networks",
        nargs="*",
        metavar="NETWORK",
        help="resnet50, plain18 and so on; resnet<depth> and plain<depth> of depth 6n+2 for CIFAR "
        "networks (default: all of the paper's)",
    )
    parser.add_argument(
        "--no-vgg",
        action="store_true",
        help="leave out VGG-16 and VGG-19, which take 0.6 GB of memory",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table into FILE too")


def run(options: argparse.Namespace) -> None:
    from rich.progress import track

    from keras_resnet import architectures
    from training.common import tables
    from training.paper import costs

    with arguments():
        chosen = [
            architectures.get(name) for name in options.networks or architectures.ARCHITECTURES
        ]
    rows = [costs.row(row) for row in track(chosen, "building", transient=True)]
    if not options.no_vgg:
        rows += list(costs.vgg())

    tables.show(
        ("network", "depth", "shortcut", "parameters", "paper M", "mult-adds G", "paper G"),
        [costs.printed(row) for row in rows],
        title="Parameters and multiply-adds beside the paper's",
    )
    for note in costs.NOTES[: 1 if options.no_vgg else 2]:
        print(note)
    if options.csv:
        with options.csv.open("x", newline="") as file:  # never over another file
            csv.writer(file).writerows([costs.COLUMNS, *rows])
