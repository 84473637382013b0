"""One file per command: its arguments, and what it prints."""

from __future__ import annotations

import argparse


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
