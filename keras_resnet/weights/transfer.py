"""A network's weights as a dict of arrays, and back; a model is changed only once all arrays fit.

The names and shapes are this package's, whatever file or model the arrays come from:
`{"conv2_block1_1_conv/kernel": (kh, kw, in, out), "conv1_bn/gamma": (C,), ...}`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_resnet.scan.visitor import loops, walk
from keras_resnet.weights import bfloat16
from keras_resnet.weights.names import LAYERS, TOP, some

LOGGER = logging.getLogger("keras_resnet")

TOP_ARRAYS = {f"{TOP}/kernel", f"{TOP}/bias"}
FIRST_KERNEL = "conv1_conv/kernel"


def arrays_of(model: keras.Model) -> dict[str, np.ndarray]:
    """Copies of a network's weights by name: `{"conv1_bn/gamma": (C,), ...}`.

    Raises:
        ValueError: If the model has no network of this package inside, or several.
    """
    found = {
        key: np.array(keras.ops.convert_to_numpy(variable))
        for key, variable in _variables(model).items()
    }
    for loop in loops(model):
        found |= loop.block_arrays()
    return {key: bfloat16.widened(array) for key, array in found.items()}


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Gives `target` the weights of `source`, whichever of the two is built with `scan=True`.

    Args:
        source: A network of this package, or a model with one inside.
        target: The same network. With another number of classes its top is not changed; it may
            have no top.

    Raises:
        ValueError: If the two are not the same network, or one of them has no network of this
            package inside, or several. The target is then not changed.
    """
    assign(target, arrays_of(source), source.name)


def assign(model: keras.Model, arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Gives the model the arrays, after checking that every one fits and none is missing.

    The arrays and the model may differ at three places:

    - A user's own layers, which no ResNet has, are left out; the log names them.
    - The top: a model without a top ignores the arrays of one. A top of another number of classes
      stays as it is, which the log says.
    - The input: a model of n channels gets an n-th of the sum of the three RGB kernels for each, so
      that n equal channels (or a grey one) give what three equal ones gave. Four channels are
      taken for RGBA: the first three keep their kernels, and alpha's is zero, so that it has no
      influence before training.

    Args:
        model: A network of this package, or a model with one inside.
        arrays: By this package's names.
        source: What to call the arrays in errors, such as the file's path.

    Raises:
        ValueError: If an array is missing, left over, or has another shape or type, or the model
            has no network of this package inside, or several. The model is then not changed.
    """
    own = {key: array.shape for key, array in arrays_of(model).items()}
    fitting = {key: array for key, array in arrays.items() if LAYERS.fullmatch(_layer(key))}
    left_out = list(dict.fromkeys(_layer(key) for key in arrays if key not in fitting))
    has_top = own.keys() >= TOP_ARRAYS
    skips_top = has_top and _has_other_classes(fitting, own)
    if not has_top or skips_top:
        fitting = {key: array for key, array in fitting.items() if key not in TOP_ARRAYS}
    shapes = {k: shape for k, shape in own.items() if not (skips_top and k in TOP_ARRAYS)}
    if FIRST_KERNEL in fitting and FIRST_KERNEL in shapes:
        channels = shapes[FIRST_KERNEL][2]
        fitting[FIRST_KERNEL] = _adapt_channels(fitting[FIRST_KERNEL], channels)
    _check(fitting, shapes, f"{source} does not fit {model.name}", left_out)

    if left_out:
        LOGGER.warning(
            "%s: left out %s, which the network does not have.", source, some(left_out, most=50)
        )
    if skips_top:
        LOGGER.warning(
            "The top of %s has %s classes and the model %s: it is left out, and the model's own "
            "top stays as it is, random in a new net.",
            source,
            arrays[f"{TOP}/bias"].size,
            own[f"{TOP}/bias"][0],
        )
    for key, variable in _variables(model).items():
        if key in shapes:
            variable.assign(fitting[key])
    for loop in loops(model):
        loop.assign_blocks(fitting)


def _layer(key: str) -> str:
    return key.partition("/")[0]


def _has_other_classes(
    arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> bool:
    return arrays.keys() >= TOP_ARRAYS and any(
        arrays[key].shape[-1:] != shapes[key][-1:] for key in TOP_ARRAYS
    )


def _check(
    arrays: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    message: str,
    left_out: list[str],
) -> None:
    """Raises a ValueError, which begins with `message`, unless arrays and shapes agree."""
    if not arrays:
        raise ValueError(f"{message}: no layer in it is the network's; it has {some(left_out)}.")
    for key in (key for key in shapes if key not in arrays):
        hint = "."
        if key in TOP_ARRAYS:
            others = f"; of its own it has {some(left_out)}" if left_out else ""
            hint = f"{others}. Give include_top=False for a file without this network's top."
        raise ValueError(f"{message}: the array {key!r} is missing{hint}")
    for key in (key for key in arrays if key not in shapes):
        raise ValueError(f"{message}, which has no place for {key!r}.")
    for key, shape in shapes.items():
        array = arrays[key]
        if array.shape != shape or array.dtype.kind != "f":
            raise ValueError(
                f"{message}: the array {key!r} is {array.dtype} of shape {array.shape}; it takes "
                f"floating-point numbers of shape {shape}."
            )


def _variables(model: keras.Model) -> dict[str, Any]:
    """The variables of the one network in a model by name, but for those of loops."""
    found: dict[str, Any] = {}
    for layer in filter(lambda layer: LAYERS.fullmatch(layer.name), walk(model)):
        for variable in layer.weights:
            if found.setdefault(f"{layer.name}/{variable.name}", variable) is not variable:
                raise ValueError(
                    f"{model.name} holds several networks, each with a layer {layer.name!r}: give "
                    "one of them."
                )
    if not found:
        raise ValueError(
            f"{model.name} has no layers of a network of keras_resnet. Where a layer such as "
            "TimeDistributed wraps the network, give the network itself."
        )
    return found


def _adapt_channels(kernel: np.ndarray, channels: int) -> np.ndarray:
    """(kh, kw, 3, filters) -> (kh, kw, channels, filters); see `assign`."""
    if kernel.ndim != 4 or kernel.shape[2] != 3 or channels == 3:
        return kernel
    if channels == 4:
        return np.concatenate([kernel, np.zeros_like(kernel[:, :, :1])], axis=2)
    grey = np.sum(kernel, axis=2, keepdims=True, dtype=kernel.dtype)
    return np.repeat(grey / kernel.dtype.type(channels), channels, axis=2)
