"""`python -m training predict`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files")
    parser.add_argument("--model", required=True, help="the served model's name")
    parser.add_argument(
        "--server", default="grpc://127.0.0.1:8500", help="grpc://host:port or http://host:port"
    )
    parser.add_argument("--version", type=int, help="default: the newest served")
    parser.add_argument("--label", help="a label instead, such as stable")
    parser.add_argument("--seconds", type=float, default=30.0, help="to wait for an answer")


def run(options: argparse.Namespace) -> None:
    from training.serving.client import Client

    client = Client(
        options.server,
        options.model,
        version=options.version,
        label=options.label,
        seconds=options.seconds,
    )
    for path in options.images:
        (best,) = client.classify([path.read_bytes()])
        named = ", ".join(f"{one.label} {100 * one.probability:.1f} %" for one in best)
        print(f"{path}: {named}")
