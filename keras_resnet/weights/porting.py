"""Conversion between the arrays of other checkpoints and arrays by this package's names.

Arrays are named `{"conv2_block1_1_conv/kernel": (kh, kw, in, out), ...}`. Arrays of layers that a
ResNet does not have, such as a user's own top, keep their names; `transfer.assign` leaves them out
and says so.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np

from keras_resnet import blocks
from keras_resnet.scan.visitor import is_loop, walk
from keras_resnet.weights.errors import UnsuitableFileError
from keras_resnet.weights.names import (
    LAYERS,
    OTHER_NETWORKS,
    OTHER_TORCH_NETWORKS,
    SCANNED,
    TOP,
    TORCH_UNUSED,
    TORCH_VARIABLES,
    old_keras_layers,
    some,
    torch_layer,
    torch_prefix,
    torchvision_layer,
)
from keras_resnet.weights.transfer import arrays_of

LOGGER = logging.getLogger("keras_resnet")

V1_5_STRIDES_IN = "conv3_block1_2_conv"  # the 3x3 of a bottleneck; version v1 strides before it
METADATA_VERSION = "keras_resnet.version"  # in the header of .safetensors files written here

KERAS_APPLICATIONS_EPSILON = 1.001e-5  # of its batch norms, in keras.applications' resnet.py
OLD_KERAS_EPSILON = 1e-3  # Keras's default, which keras-applications' resnet50.py kept


def from_torch(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A PyTorch state dict's arrays by this package's names, kernels in Keras's order.

    Takes the layout of torchvision and timm (`layer1.0.downsample.0`, `fc`) and that of CIFAR-10
    code (`layer1.0.shortcut.0`, `linear`), behind any prefix such as `module.`, `_orig_mod.`,
    `model.` or `backbone.`. Arrays outside the network keep their names.

    Raises:
        ValueError: If the arrays are those of no ResNet, of several, or of a relative of it.
    """
    prefix = torch_prefix(arrays)
    ported = {}
    for full_name, array in arrays.items():
        name = full_name.removeprefix(prefix)
        layer, _, variable = name.rpartition(".")
        if variable == TORCH_UNUSED:
            continue
        place = torch_layer(layer) if full_name.startswith(prefix) else None
        variables = TORCH_VARIABLES["bn" if place and place.endswith("_bn") else "kernel"]
        if place is not None and variable in variables:
            key, array = f"{place}/{variables[variable]}", _swap_kernel_axes(array, to_torch=False)
        elif full_name.startswith(prefix) and OTHER_TORCH_NETWORKS.fullmatch(name):
            raise UnsuitableFileError(f"the array {full_name!r} has no place in a ResNet")
        else:
            key = full_name
        if key in ported:
            raise UnsuitableFileError(f"the array {full_name!r} occurs twice, under two names")
        ported[key] = array
    return _fold_biases(ported)


def to_torchvision(model: keras.Model) -> dict[str, np.ndarray]:
    """Copies of the model's arrays under torchvision's names, in PyTorch's order (out, in, kh, kw).

    `load_state_dict` of torchvision's net of that depth takes them, if the model has stride
    `version="v1.5"` and shortcut `"B"` as torchvision has; so does CIFAR-10 code with option A
    whose top is called `fc`. Other layers with weights are left out; the log names them.

    Raises:
        ValueError: If the model has no network of this package inside, or several.
    """
    torch_arrays = {}
    for key, array in arrays_of(model).items():
        layer, _, name = key.partition("/")
        kind = "bn" if layer.endswith("_bn") else "kernel"
        variable = {here: torch for torch, here in TORCH_VARIABLES[kind].items()}[name]
        place = torchvision_layer(layer)
        torch_arrays[f"{place}.{variable}"] = _swap_kernel_axes(array, to_torch=True)
        if name == "moving_variance":
            torch_arrays[f"{place}.{TORCH_UNUSED}"] = np.array(0, np.int64)
    others = [
        layer.name
        for layer in walk(model)
        if layer.weights and not (LAYERS.fullmatch(layer.name) or is_loop(layer))
    ]
    if others:
        LOGGER.warning("%s: left out %s, which a ResNet does not have.", model.name, some(others))
    return torch_arrays


def save_safetensors(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Writes `to_torchvision(model)` to a `.safetensors` file, with the net's version.

    Raises:
        ValueError: If `path` does not end in `.safetensors`, or the model has no network of this
            package inside, or several.
        FileExistsError: If there is such a file already.
        OSError: If it cannot be written.
    """
    from safetensors.numpy import save_file

    path = os.path.expanduser(path)
    if not path.endswith(".safetensors"):
        raise ValueError(f"path ends in .safetensors; given {path!r}.")
    if os.path.exists(path):
        raise FileExistsError(f"{path!r} exists; remove it first, or give another name.")
    arrays = {k: np.ascontiguousarray(array) for k, array in to_torchvision(model).items()}
    place = os.path.dirname(path) or "."
    if not os.path.isdir(place):
        raise FileNotFoundError(f"There is no folder {place!r} for {os.path.basename(path)}.")
    with tempfile.TemporaryDirectory(dir=place) as folder:
        written = os.path.join(folder, "model.safetensors")
        save_file(arrays, written, metadata={"format": "pt", METADATA_VERSION: version(model)})
        os.replace(written, path)


def version(model: keras.Model) -> str:
    """The version of a built model, `"v1"` or `"v1.5"`, by the strides of its layers."""
    second = [layer for layer in walk(model) if layer.name == V1_5_STRIDES_IN]
    return "v1.5" if second and second[0].strides == (2, 2) else "v1"


def from_keras(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A Keras file's arrays by this package's names, biases folded away.

    Takes this package's files, keras.applications' and those of older Keras, whose layers have
    other names. Nets whose convolutions have biases have batch norms of another epsilon too. The
    same function without biases has the bias subtracted from the moving mean, and the difference of
    the epsilons added to the moving variance. Arrays outside the network keep their names.

    Args:
        arrays: By layer, `{"conv1_bn/gamma": (64,), ...}`.

    Raises:
        ValueError: If the arrays are those of no ResNet, or of a relative of it.
    """
    layers = list(dict.fromkeys(key.partition("/")[0] for key in arrays))
    old = old_keras_layers(layers)
    _refuse_other_networks([layer for layer in layers if layer not in old])
    epsilon = OLD_KERAS_EPSILON if "conv1" in old else KERAS_APPLICATIONS_EPSILON
    return _without_biases(_renamed(arrays, old), epsilon)


def from_keras_applications(
    arrays: Mapping[str, np.ndarray], blocks_per_stage: Sequence[int]
) -> dict[str, np.ndarray]:
    """A published file's arrays by this package's names, biases folded away.

    keras.applications itself goes by the order of the layers, whatever the file calls them; so
    does this function where the names say nothing.

    Args:
        arrays: By layer, in the order of the file.
        blocks_per_stage: Number of blocks in each stage.

    Raises:
        ValueError: If the arrays are not those of such a net.
    """
    layers = list(dict.fromkeys(key.partition("/")[0] for key in arrays))
    if any(LAYERS.fullmatch(layer) for layer in layers) or old_keras_layers(layers):
        return from_keras(arrays)
    expected = list(_keras_applications_order(blocks_per_stage))
    if len(layers) not in (len(expected), len(expected) - 1):
        raise UnsuitableFileError(
            f"its {len(layers)} layers are not the {len(expected)} of keras.applications"
        )
    order = dict(zip(layers, expected, strict=False))  # without a top the last name is left over
    return _without_biases(_renamed(arrays, order), KERAS_APPLICATIONS_EPSILON)


def _refuse_other_networks(layers: Sequence[str]) -> None:
    for layer in layers:
        if SCANNED.fullmatch(layer):
            raise UnsuitableFileError(
                f"its layer {layer!r} holds the stacked weights of several blocks: build the net "
                "with scan=True, call its load_weights, and take the weights to another net with "
                "keras_resnet.copy_weights"
            )
        if OTHER_NETWORKS.fullmatch(layer) and not LAYERS.fullmatch(layer):
            raise UnsuitableFileError(f"its layer {layer!r} has no place in a ResNet")


def _renamed(arrays: Mapping[str, np.ndarray], names: Mapping[str, str]) -> dict[str, np.ndarray]:
    renamed = {}
    for key, array in arrays.items():
        layer, slash, name = key.partition("/")
        renamed[f"{names.get(layer, layer)}{slash}{name}"] = array
    return renamed


def _without_biases(arrays: Mapping[str, np.ndarray], epsilon: float) -> dict[str, np.ndarray]:
    """Folds away biases of convolutions and, where there are any, the other epsilon."""
    if any(_is_convolutions_bias(key) for key in arrays):
        difference = np.float32(epsilon - blocks.BN_EPSILON)
        arrays = {
            key: array + difference if key.endswith("/moving_variance") else array
            for key, array in arrays.items()
        }
    return _fold_biases(arrays)


def _keras_applications_order(blocks_per_stage: Sequence[int]) -> Iterator[str]:
    """Yields the layers with weights in the order of keras.applications' `model.layers`."""
    yield from ("conv1_conv", "conv1_bn")
    for stage, count in enumerate(blocks_per_stage, start=2):
        for block in range(1, count + 1):
            name = f"conv{stage}_block{block}"
            yield from (f"{name}_1_conv", f"{name}_1_bn", f"{name}_2_conv", f"{name}_2_bn")
            # By depth: the projection of a first block stands beside the last convolution.
            last = ("0", "3") if block == 1 else ("3",)
            yield from (f"{name}_{i}_conv" for i in last)
            yield from (f"{name}_{i}_bn" for i in last)
    yield TOP


def _fold_biases(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Takes each convolution's bias off the next moving mean, which batch norm subtracts."""
    folded = dict(arrays)
    for key in filter(_is_convolutions_bias, arrays):
        means = key.replace("_conv/bias", "_bn/moving_mean")
        bias, mean = folded.pop(key), folded.get(means)
        if mean is None or mean.shape != bias.shape:
            raise UnsuitableFileError(
                f"the array {key!r} has no batch norm behind it that could take it, as in a net "
                "from fold_batch_norm: give the weights of the net that was folded"
            )
        folded[means] = mean - bias
    return folded


def _is_convolutions_bias(key: str) -> bool:
    layer, _, name = key.partition("/")
    return name == "bias" and layer.endswith("_conv") and LAYERS.fullmatch(layer) is not None


def _swap_kernel_axes(array: np.ndarray, to_torch: bool) -> np.ndarray:
    if array.ndim != 4:
        return np.transpose(array)  # a dense layer's (in, out) and (out, in); a vector as it is
    # Keras: (kh, kw, in, out); PyTorch: (out, in, kh, kw)
    return np.transpose(array, (3, 2, 0, 1) if to_torch else (2, 3, 1, 0))
