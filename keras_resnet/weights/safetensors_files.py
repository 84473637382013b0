"""Reads `.safetensors` files, whose arrays have PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_resnet.weights import bfloat16
from keras_resnet.weights.porting import METADATA_VERSION


def _safetensors(path: str) -> Any:
    try:
        import safetensors
    except ImportError as error:
        raise ImportError(
            f"Reading {path} needs the package safetensors: "
            "pip install 'keras-residual-networks[weights]'"
        ) from error
    return safetensors


def read(path: str) -> dict[str, np.ndarray]:
    """The arrays of a `.safetensors` file by name, such as `{"conv1.weight": (64, 3, 7, 7)}`.

    Raises:
        ImportError: If the package safetensors is not installed.
    """
    with _safetensors(path).safe_open(path, framework="np") as file:
        return {name: bfloat16.widened(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118


def recorded_version(path: str) -> str | None:
    """The version of the network in a file that `porting.save_safetensors` wrote."""
    with _safetensors(path).safe_open(path, framework="np") as file:
        recorded: str | None = (file.metadata() or {}).get(METADATA_VERSION)
    return recorded
