"""`python -m training batching`."""

from __future__ import annotations

import argparse

from training.commands import options as shared
from training.common import numeric


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the served model's name")
    shared.add_model_base(parser)
    parser.add_argument(
        "--latency-ms",
        type=numeric.amount,
        default=200.0,
        help="the longest time that a batch may take, in milliseconds",
    )


def run(options: argparse.Namespace) -> None:
    from training.export import model_base
    from training.serving import batching_parameters

    present = model_base.versions(options.base / options.name)
    if not present:
        raise ValueError(f"{options.base} has no model {options.name!r}.")
    version = options.base / options.name / str(present[-1])
    measured = batching_parameters.measure(version)
    for size, seconds in measured.items():
        print(f"batch {size:3}: {1000 * seconds:8.1f} ms, {size / seconds:8.1f} images/s")
    file = options.base / model_base.BATCHING
    batching_parameters.write(file, measured, options.latency_ms / 1000)
    print(file.read_text(), end="")
