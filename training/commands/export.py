"""`python -m training export`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", type=Path, required=True, help="a model.keras that `train` wrote"
    )
    parser.add_argument("--name", required=True, help="the served model's name, e.g. resnet20")
    parser.add_argument(
        "--out", type=Path, default=Path("savedmodels"), help="TF Serving's model base"
    )


def run(options: argparse.Namespace) -> None:
    if not options.model.is_file():
        raise FileNotFoundError(f"There is no model file {options.model}.")

    import keras

    from training.export import export

    model = keras.models.load_model(options.model, compile=False)
    print(export(model, options.name, options.out))
