"""`python -m training rollback`."""

from __future__ import annotations

import argparse

from training.commands import options as shared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_served_label(parser)
    shared.add_model_base(parser)


def run(options: argparse.Namespace) -> None:
    from training.export import model_base

    version = model_base.rollback(options.base, options.name, options.label)
    print(f"{options.name}: {options.label} is version {version} again")
