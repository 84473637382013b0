"""`python -m training demo`."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.commands import options as shared
from training.common import numeric
from training.common.errors import arguments
from training.config import recipes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--depths",
        type=int,
        nargs="+",
        action=numeric.Distinct,
        default=[20, 56],
        help="the numbers of layers of the networks, 6n+2 each",
    )
    parser.add_argument(
        "--seeds",
        type=numeric.seed,
        nargs="+",
        action=numeric.Distinct,
        default=[0],
        help="train each network once with each seed",
    )
    parser.add_argument(
        "--workdir",
        type=Path,
        default=Path("runs/demo"),
        help="the directory for the runs and the figure",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("savedmodels"),
        help="the folder of exported models, for the deepest residual network",
    )
    shared.add_overrides(parser)


def run(options: argparse.Namespace) -> None:
    from training.paper import experiments

    with arguments():
        recipe = recipes.override(recipes.load("digits"), options.overrides)
        for depth in options.depths:
            experiments.small_nets(depth)

    from training.common import tables
    from training.export.saved_model import export
    from training.models import trained_model
    from training.paper.demo import compare, draw
    from training.paper.results import spread

    comparison = compare(options.depths, options.seeds, "digits", recipe, options.workdir)

    figure = options.workdir / "curves.png"
    draw(comparison, figure)
    rows = []
    for family, title in (("plain", "plain net"), ("resnet", "residual net")):
        for kind, errors in (
            ("test", comparison.test_errors),
            ("training, last epoch", comparison.training_errors),
        ):
            cells = [spread(errors(family, depth), digits=1) for depth in options.depths]
            rows.append((f"{title}, {kind}", *cells))
    headings = ("net", *(f"{depth} layers" for depth in options.depths))
    tables.show(headings, rows, title="Handwritten digits: error in %")

    deepest = comparison.outcomes["resnet", max(options.depths)][0]
    served = trained_model.from_file(deepest.model_file)
    version = export(served, f"digits-resnet{max(options.depths)}", options.out)
    print(f"curves: {figure}")
    print(f"SavedModel: {version}")
