"""`python -m training networks`: every network's cost beside the paper's."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.common.errors import arguments
from training.common.files import write_csv


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

    if options.csv is not None:
        if options.csv.exists():
            raise FileExistsError(f"{options.csv} exists already: give --csv another name.")
        options.csv.parent.mkdir(parents=True, exist_ok=True)
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
    if options.csv is not None:
        write_csv(options.csv, [costs.COLUMNS, *rows])
