"""`python -m training promote`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="the served model")
    parser.add_argument("--version", type=int, help="default: the canary's")
    parser.add_argument("--label", default="stable", help="stable, canary, or one of your own")
    parser.add_argument(
        "--base", type=Path, default=Path("savedmodels"), help="TF Serving's model base"
    )


def run(options: argparse.Namespace) -> None:
    from training.export import model_base

    version = model_base.promote(options.base, options.name, options.version, options.label)
    print(f"{options.name}: {options.label} is version {version}")
