"""Weights: what `weights=` accepts, and loading it."""

from __future__ import annotations

import os
from typing import Any

import keras

from keras_resnet.architectures import Architecture

FILE_ENDINGS = (".weights.h5", ".keras")


def check(
    weights: str | None,
    architecture: Architecture,
    include_top: bool,
    classes: int | None,
    classifier_activation: Any,
) -> None:
    """Refuses weights that cannot fit, before anything is built.

    Raises:
        ValueError: If `weights` is unknown or does not fit the other arguments.
        OSError: If it names a file that does not exist.
    """
    if weights is None:
        return
    path = os.fspath(weights)
    if not path.endswith(FILE_ENDINGS):
        raise ValueError(
            "weights is None (random weights) or the path of a file ending in "
            f"{' or '.join(FILE_ENDINGS)}; given {weights!r}."
        )
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no weights file {path!r}.")


def load(model: keras.Model, weights: str) -> None:
    model.load_weights(weights)
