"""A network's weights as a plain dict of arrays, and back; a model is touched once all fit.

By our own names and shapes, whatever file or model they come from:
`{"conv2_block1_1_conv/kernel": (kh, kw, in, out), "conv1_bn/gamma": (C,), ...}`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_resnet.scan.visitor import loops, walk

LOGGER = logging.getLogger("keras_resnet")

# Our layers with weights; others in a model, in front of the network for example, are the user's.
LAYERS = re.compile(r"(?:conv1|conv\d+_block\d+_\d+)_(?:conv|bn)|predictions")
TOP = "predictions"
FIRST_KERNEL = "conv1_conv/kernel"


def arrays_of(model: keras.Model) -> dict[str, np.ndarray]:
    """Copies of the weights of one of our networks by name: `{"conv1_bn/gamma": (C,), ...}`."""
    found = {
        key: np.array(keras.ops.convert_to_numpy(variable))
        for key, variable in _variables(model).items()
    }
    for loop in loops(model):
        found |= loop.block_arrays()
    return found


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Gives `target` the weights of `source`, whichever of the two is built with `scan=True`.

    Args:
        source: One of ours.
        target: The same network; or one with another number of classes, whose top is left as it
            is, or without a top.

    Raises:
        ValueError: If it is another network; `target` is then as it was.
    """
    assign(target, arrays_of(source), source.name)


def assign(model: keras.Model, arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Gives the model the arrays, after checking that every one fits and none is missing.

    Two rules for a model that differs from the file's at its ends:

    - Top: arrays of a top are ignored by a model without, and skipped, said in the log, by one of
      another number of classes, whose top keeps its random weights.
    - Input: from RGB kernels, each of n channels gets an n-th of their sum, so that n equal
      channels, one (grey) too, give what three equal ones would give; but of four channels (RGBA)
      the first three keep theirs and the fourth gets zeros, without influence before training.

    Args:
        model: One of ours.
        arrays: By our names.
        source: What to call the arrays in errors, such as the file's path.

    Raises:
        ValueError: If an array is missing, left over, or has another shape or type; the model is
            then as it was.
    """
    shapes = {key: array.shape for key, array in arrays_of(model).items()}
    fitting = dict(arrays)
    top = {f"{TOP}/kernel", f"{TOP}/bias"}
    if not top <= shapes.keys():
        fitting = {key: array for key, array in fitting.items() if key not in top}
    elif top <= fitting.keys() and any(fitting[key].shape[-1:] != shapes[key][-1:] for key in top):
        LOGGER.warning(
            "The top of %s has %s classes and the model %s: it is skipped, and the model's keeps "
            "its random weights.",
            source,
            fitting[f"{TOP}/bias"].size,
            shapes[f"{TOP}/bias"][0],
        )
        shapes = {key: shape for key, shape in shapes.items() if key not in top}
        fitting = {key: array for key, array in fitting.items() if key not in top}
    if FIRST_KERNEL in fitting and FIRST_KERNEL in shapes:
        channels = shapes[FIRST_KERNEL][2]
        fitting[FIRST_KERNEL] = _adapt_channels(fitting[FIRST_KERNEL], channels)

    for key in (key for key in shapes if key not in fitting):
        hint = " Give include_top=False for a file without a top." if key in top else ""
        raise ValueError(f"{source} does not fit {model.name}: the array {key!r} is missing.{hint}")
    for key in (key for key in fitting if key not in shapes):
        raise ValueError(f"{source} does not fit {model.name}: it has no place for {key!r}.")
    for key, shape in shapes.items():
        array = fitting[key]
        if array.shape != shape or array.dtype.kind != "f":
            raise ValueError(
                f"{source} does not fit {model.name}: the array {key!r} is {array.dtype} of shape "
                f"{array.shape}; it takes floating-point numbers of shape {shape}."
            )
    for key, variable in _variables(model).items():
        if key in shapes:
            variable.assign(fitting[key])
    for loop in loops(model):
        loop.assign_blocks(fitting)


def _variables(model: keras.Model) -> dict[str, Any]:
    return {
        f"{layer.name}/{variable.name}": variable
        for layer in walk(model)
        if LAYERS.fullmatch(layer.name)
        for variable in layer.weights
    }


def _adapt_channels(kernel: np.ndarray, channels: int) -> np.ndarray:
    """(kh, kw, 3, filters) -> (kh, kw, channels, filters); see `assign`."""
    if kernel.ndim != 4 or kernel.shape[2] != 3 or channels == 3:
        return kernel
    if channels == 4:
        return np.concatenate([kernel, np.zeros_like(kernel[:, :, :1])], axis=2)
    grey = np.sum(kernel, axis=2, keepdims=True, dtype=kernel.dtype)
    return np.repeat(grey / kernel.dtype.type(channels), channels, axis=2)
