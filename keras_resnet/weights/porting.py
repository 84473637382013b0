"""Other checkpoints' arrays <-> arrays by our own names and shapes, which `transfer` assigns."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np

from keras_resnet import analysis, blocks
from keras_resnet.weights.transfer import LAYERS, TOP, arrays_of

V1_5_STRIDES_IN = "conv3_block1_2_conv"  # the 3x3 of a bottleneck; version v1 strides before it
METADATA_VERSION = "keras_resnet.version"  # in the header of our .safetensors files

KERAS_APPLICATIONS_EPSILON = 1.001e-5  # of its batch norms, in keras.applications' resnet.py

# PyTorch's names, as torchvision, timm and the usual CIFAR-10 code have them.
TORCH_LAYERS = (
    # theirs                                            ours
    (r"conv1",                                          r"conv1_conv"),
    (r"bn1",                                            r"conv1_bn"),
    (r"layer(\d+)\.(\d+)\.(conv|bn)(\d)",               r"conv{stage}_block{block}_\4_\3"),
    (r"layer(\d+)\.(\d+)\.(?:downsample|shortcut)\.0",  r"conv{stage}_block{block}_0_conv"),
    (r"layer(\d+)\.(\d+)\.(?:downsample|shortcut)\.1",  r"conv{stage}_block{block}_0_bn"),
    (r"fc|linear",                                      r"predictions"),
)  # fmt: skip
TORCH_VARIABLES = {
    "bn": {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    },
    "kernel": {"weight": "kernel", "bias": "bias"},
}
# A counter of training steps, which a batch norm with a fixed momentum never uses.
TORCH_UNUSED = "num_batches_tracked"


def from_torch(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A PyTorch state dict's arrays by our names, kernels in Keras's order.

    Takes the layout of torchvision and timm (`layer1.0.downsample.0`, `fc`) and that of CIFAR-10
    code (`layer1.0.shortcut.0`, `linear`), both with or without a `module.` in front.

    Raises:
        ValueError: If an array has no place in a ResNet.
    """
    parallel = all(name.startswith("module.") for name in arrays)  # saved from DataParallel
    ported = {}
    for full_name, array in arrays.items():
        layer, _, variable = full_name.removeprefix("module." if parallel else "").rpartition(".")
        if variable == TORCH_UNUSED:
            continue
        ours = _torch_layer(layer)
        variables = TORCH_VARIABLES["bn" if ours and ours.endswith("_bn") else "kernel"]
        if ours is None or variable not in variables:
            raise ValueError(f"the array {full_name!r} has no place in a ResNet")
        key = f"{ours}/{variables[variable]}"
        if key in ported:
            raise ValueError(f"the array {full_name!r} occurs twice, under two names")
        ported[key] = _swap_kernel_axes(array, to_torch=False)
    return _fold_biases(ported)


def to_torchvision(model: keras.Model) -> dict[str, np.ndarray]:
    """The model's arrays under torchvision's names, in PyTorch's order (out, in, kh, kw).

    `load_state_dict` of torchvision's net of that depth takes them, if the model has stride
    `version="v1.5"` and shortcut `"B"` as torchvision has; of CIFAR-10 code with option A too,
    where the top is called `fc`. Arrays are copies.
    """
    torch_arrays = {}
    for key, array in arrays_of(model).items():
        layer, _, name = key.partition("/")
        kind = "bn" if layer.endswith("_bn") else "kernel"
        theirs = {ours: torch for torch, ours in TORCH_VARIABLES[kind].items()}[name]
        place = _torchvision_layer(layer)
        torch_arrays[f"{place}.{theirs}"] = _swap_kernel_axes(array, to_torch=True)
        if name == "moving_variance":
            torch_arrays[f"{place}.{TORCH_UNUSED}"] = np.array(0, np.int64)
    return torch_arrays


def save_safetensors(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Writes `to_torchvision(model)` to a `.safetensors` file, with the net's version.

    Raises:
        ValueError: If `path` does not end in `.safetensors`.
        FileExistsError: If there is such a file already.
        OSError: If it cannot be written.
    """
    from safetensors.numpy import save_file

    path = os.fspath(path)
    if not path.endswith(".safetensors"):
        raise ValueError(f"path ends in .safetensors; given {path!r}.")
    if os.path.exists(path):
        raise FileExistsError(f"{path!r} exists; remove it first, or give another name.")
    arrays = {k: np.ascontiguousarray(array) for k, array in to_torchvision(model).items()}
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path) or ".") as folder:
        written = os.path.join(folder, "model.safetensors")
        save_file(arrays, written, metadata={"format": "pt", METADATA_VERSION: version(model)})
        os.replace(written, path)


def version(model: keras.Model) -> str:
    """Where the stages of a built model stride: `"v1"` or `"v1.5"`, read off its layers."""
    second = [layer for layer in analysis.walk(model) if layer.name == V1_5_STRIDES_IN]
    return "v1.5" if second and second[0].strides == (2, 2) else "v1"


def from_keras_applications(
    arrays: Mapping[str, np.ndarray], blocks_per_stage: Sequence[int]
) -> dict[str, np.ndarray]:
    """keras.applications' arrays by our names, biases folded away.

    Its convolutions have biases and its batch norms another epsilon: subtracting the bias from
    the moving mean, and adding the difference of the epsilons to the moving variance, gives the
    same function without. Arrays whose convolutions have no bias are ours already.

    Args:
        arrays: By layer, in the order of the file.
        blocks_per_stage: Blocks in each stage, for files whose layers have other names than ours:
            their order is keras.applications', which itself goes by order alone.

    Raises:
        ValueError: If the arrays are not those of such a net.
    """
    layers = dict.fromkeys(key.partition("/")[0] for key in arrays)
    if not all(LAYERS.fullmatch(layer) for layer in layers):
        expected = list(_keras_applications_order(blocks_per_stage))
        if len(layers) not in (len(expected), len(expected) - 1):
            strange = next(layer for layer in layers if not LAYERS.fullmatch(layer))
            raise ValueError(
                f"the layer {strange!r} is none of ours, and its {len(layers)} layers are not the "
                f"{len(expected)} of keras.applications"
            )
        names = dict(zip(layers, expected, strict=False))  # without a top it is the last missing
        arrays = {
            f"{names[layer]}/{name}": array
            for (layer, _, name), array in ((key.partition("/"), a) for key, a in arrays.items())
        }
    if any(key.endswith("_conv/bias") for key in arrays):
        difference = KERAS_APPLICATIONS_EPSILON - blocks.BN_EPSILON  # 1e-8
        arrays = {
            key: array + np.float32(difference) if key.endswith("/moving_variance") else array
            for key, array in arrays.items()
        }
    return _fold_biases(arrays)


def _keras_applications_order(blocks_per_stage: Sequence[int]) -> Iterator[str]:
    """Layers with weights in the order of keras.applications' `model.layers` (bottlenecks)."""
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
    """Without the convolutions' biases, which the next moving mean would subtract again."""
    folded = dict(arrays)
    for key in arrays:
        layer, kind, name = key.rpartition("_conv/bias")
        if kind and not name:
            bias, mean = folded.pop(key), folded.get(f"{layer}_bn/moving_mean")
            if mean is None or mean.shape != bias.shape:
                raise ValueError(f"the array {key!r} fits no moving mean")
            folded[f"{layer}_bn/moving_mean"] = mean - bias
    return folded


def _swap_kernel_axes(array: np.ndarray, to_torch: bool) -> np.ndarray:
    if array.ndim != 4:
        return np.transpose(array)  # a dense layer's (in, out) and (out, in); a vector as it is
    # Keras: (kh, kw, in, out); PyTorch: (out, in, kh, kw)
    return np.transpose(array, (3, 2, 0, 1) if to_torch else (2, 3, 1, 0))


def _torch_layer(name: str) -> str | None:
    """Our name of PyTorch's layer: `layer1.0.conv2` -> `conv2_block1_2_conv`."""
    for theirs, ours in TORCH_LAYERS:
        match = re.fullmatch(theirs, name)
        if match and len(match.groups()) < 2:
            return ours
        if match:  # stages are counted from conv2_x, blocks from 1
            stage, block = int(match[1]) + 1, int(match[2]) + 1
            return match.expand(ours.format(stage=stage, block=block))
    return None


def _torchvision_layer(name: str) -> str:
    """torchvision's name of our layer: `conv2_block1_2_conv` -> `layer1.0.conv2`."""
    if name == TOP:
        return "fc"
    match = re.fullmatch(r"conv(\d+)_block(\d+)_(\d+)_(conv|bn)", name)
    if match is None:
        return {"conv1_conv": "conv1", "conv1_bn": "bn1"}[name]
    block = f"layer{int(match[1]) - 1}.{int(match[2]) - 1}"
    if match[3] == "0":
        return f"{block}.downsample.{0 if match[4] == 'conv' else 1}"
    return f"{block}.{match[4]}{match[3]}"
