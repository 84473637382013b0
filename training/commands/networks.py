"""`python -m training networks`: every network's cost beside the paper's."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

from keras_resnet import architectures
from training.paper import costs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "networks",
        nargs="*",
        default=list(architectures.ARCHITECTURES),
        help="rows of the table, or resnet<6n+2> and plain<6n+2>",
    )
    parser.add_argument(
        "--no-vgg", action="store_true", help="leave out VGG-16 and VGG-19 (0.6 GB)"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table there too")


def run(options: argparse.Namespace) -> None:
    chosen = [architectures.get(name) for name in options.networks]
    rows = [costs.row(row) for row in track(chosen, "building", transient=True)]
    if not options.no_vgg:
        rows += list(costs.vgg())

    table = Table(title="Parameters and multiply-adds beside the paper's", box=SIMPLE)
    headings = ("network", "depth", "shortcut", "parameters", "paper M", "mult-adds G", "paper G")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "network" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*costs.printed(row))
    Console().print(table)
    for note in costs.NOTES[: 1 if options.no_vgg else 2]:
        print(note)
    if options.csv:
        with options.csv.open("x", newline="") as file:  # never over another file
            csv.writer(file).writerows([costs.COLUMNS, *rows])
