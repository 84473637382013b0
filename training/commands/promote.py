"""`python -m training promote`."""

from __future__ import annotations

import argparse

from training.commands import options as shared
from training.common import numeric


def add_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_served_label(parser)
    parser.add_argument(
        "--version",
        type=numeric.positive,
        help="the version that gets the label (default: the version labelled canary)",
    )
    shared.add_model_base(parser)


def run(options: argparse.Namespace) -> None:
    from training.export import model_base

    version = model_base.promote(options.base, options.name, options.version, options.label)
    print(f"{options.name}: {options.label} is version {version}")
