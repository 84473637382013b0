"""`python -m training networks`: every network's cost beside the paper's."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

from keras_resnet import architectures
from training import paper

COLUMNS = ("network", "depth", "shortcut", "parameters", "paper_M", "multiply_adds", "paper_G")

Row = tuple[str, int, str, int, str, int, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "networks",
        nargs="*",
        default=list(architectures.TABLE),
        help="rows of the table, or resnet<6n+2> and plain<6n+2>",
    )
    parser.add_argument(
        "--no-vgg", action="store_true", help="leave out VGG-16 and VGG-19 (0.6 GB)"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table there too")


def run(options: argparse.Namespace) -> None:
    chosen = [architectures.get(name) for name in options.networks]
    rows = [_row(row) for row in track(chosen, "building", transient=True)]
    if not options.no_vgg:
        rows += list(_vgg())

    table = Table(title="Parameters and multiply-adds beside the paper's", box=SIMPLE)
    headings = ("network", "depth", "shortcut", "parameters", "paper M", "mult-adds G", "paper G")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "network" else "right", no_wrap=True)
    for name, depth, shortcut, parameters, paper_m, multiply_adds, paper_g in rows:
        cells = (f"{parameters:,}", paper_m, f"{multiply_adds / 1e9:.3f}", paper_g)
        table.add_row(name, str(depth), shortcut, *cells)
    Console().print(table)
    print("The paper prints one digit of G: ours rounded (101: 7.57) or cut off (50: 3.858).")
    if not options.no_vgg:
        print("VGG-16: 15.3 are its convolutions alone, 15.35; VGG-19's 19.6 are all of it.")
    if options.csv:
        with options.csv.open("x", newline="") as file:  # never over another file
            csv.writer(file).writerows([COLUMNS, *rows])


def _row(architecture: architectures.Architecture) -> Row:
    import keras_resnet
    from keras_resnet import analysis

    name = architecture.name
    model = keras_resnet.ResNet(architecture, weights=None)
    return (
        name,
        architecture.depth,
        architecture.shortcut or "–",
        analysis.parameters(model),
        paper.PARAMETERS.get(name, ""),
        analysis.multiply_adds(model),
        paper.MULTIPLY_ADDS.get(name, ""),
    )


def _vgg() -> Iterator[Row]:
    """The paper's reference rows, from keras.applications."""
    import keras

    from keras_resnet import analysis

    for name, depth in (("vgg16", 16), ("vgg19", 19)):
        model = getattr(keras.applications, name.upper())(weights=None)
        yield (
            name,
            depth,
            "–",
            analysis.parameters(model),
            "",
            analysis.multiply_adds(model),
            paper.MULTIPLY_ADDS[name],
        )
