"""Weights and files for the tests of `weights=`, made here: nothing is fetched."""

from __future__ import annotations

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from keras_resnet import analysis, cifar_architecture, weights


def randomize(model: keras.Model, seed: int = 0) -> keras.Model:
    """Random numbers in every variable, so that an array in the wrong place shows.

    Scales are small, so that the outputs of deep nets stay finite, and no variable keeps a new
    layer's numbers.
    """
    rng = np.random.default_rng(seed)
    for layer in analysis.walk(model):
        for variable in layer.weights:
            if variable.name == "kernel":
                fan_in = np.prod(variable.shape[:-1])
                value = rng.normal(0, fan_in**-0.5, variable.shape)
            elif variable.name in ("gamma", "moving_variance"):
                value = rng.uniform(0.5, 1.0, variable.shape)
            else:
                value = rng.normal(0, 0.2, variable.shape)
            variable.assign(value.astype("float32"))
    return model


def images(shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def outputs(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(x, training=False))


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def assert_refused(model: keras.Model, path: Path, message: str | None = None) -> None:
    """Loading into a ResNet-8 is a ValueError that names the file; the model does not change."""
    before = model.get_weights()
    with pytest.raises(ValueError, match=message) as caught:
        weights.load(model, str(path), cifar_architecture(8))
    assert path.name in str(caught.value)
    np.testing.assert_equal(model.get_weights(), before)


def write_published_h5(model: keras.Model, path: Path, rename=lambda name: name) -> None:
    """The layout of keras.applications' published files: TensorFlow's Keras wrote them."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [rename(layer.name).encode() for layer in model.layers]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.2.4-tf"
        for layer in model.layers:
            name = rename(layer.name)
            group = file.create_group(name)
            variables = [*layer.trainable_weights, *layer.non_trainable_weights]
            group.attrs["weight_names"] = [f"{name}/{v.name}:0".encode() for v in variables]
            for variable in variables:
                value = keras.ops.convert_to_numpy(variable)
                group.create_dataset(f"{name}/{variable.name}:0", data=value)


# ---- state dicts, written out as PyTorch's code names them, apart from the package's own names

EXPANSION = {"basic": 1, "bottleneck": 4}
IMAGENET_STAGES = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}


def imagenet_shapes(depth: int, classes: int = 1000) -> dict[str, tuple[int, ...]]:
    """torchvision's and timm's names and shapes."""
    kind, stages = IMAGENET_STAGES[depth]
    shapes = {"conv1.weight": (64, 3, 7, 7), **_norm("bn1", 64)}
    channels = 64
    for stage, blocks in enumerate(stages):
        width = 64 * 2**stage
        out = width * EXPANSION[kind]
        for block in range(blocks):
            at = f"layer{stage + 1}.{block}"
            if kind == "basic":
                convolutions = [(width, channels, 3), (width, width, 3)]
            else:
                convolutions = [(width, channels, 1), (width, width, 3), (out, width, 1)]
            shapes |= _block(at, convolutions)
            if channels != out:
                shapes[f"{at}.downsample.0.weight"] = (out, channels, 1, 1)
                shapes |= _norm(f"{at}.downsample.1", out)
            channels = out
    return shapes | {"fc.weight": (classes, channels), "fc.bias": (classes,)}


def cifar_shapes(depth: int) -> dict[str, tuple[int, ...]]:
    """The usual CIFAR-10 code's, with option A."""
    shapes = {"conv1.weight": (16, 3, 3, 3), **_norm("bn1", 16)}
    channels = 16
    for stage in range(3):
        width = 16 * 2**stage
        for block in range((depth - 2) // 6):
            convolutions = [(width, channels, 3), (width, width, 3)]
            shapes |= _block(f"layer{stage + 1}.{block}", convolutions)
            channels = width
    return shapes | {"linear.weight": (10, 64), "linear.bias": (10,)}


def _block(at: str, convolutions: list[tuple[int, int, int]]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (out, into, size) in enumerate(convolutions, start=1):
        shapes[f"{at}.conv{i}.weight"] = (out, into, size, size)
        shapes |= _norm(f"{at}.bn{i}", out)
    return shapes


def _norm(at: str, channels: int) -> dict[str, tuple[int, ...]]:
    names = ("weight", "bias", "running_mean", "running_var")
    counter: dict[str, tuple[int, ...]] = {f"{at}.num_batches_tracked": ()}
    return {f"{at}.{name}": (channels,) for name in names} | counter


def state_dict(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """Random arrays for names and shapes."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            arrays[name] = np.array(7, "int64")
        elif len(shape) > 1:
            fan_in = np.prod(shape[1:])
            arrays[name] = rng.normal(0, fan_in**-0.5, shape).astype("float32")
        elif name.endswith("running_var") or (name.endswith("weight") and "bn" in name):
            arrays[name] = rng.uniform(0.5, 1.0, shape).astype("float32")
        else:
            arrays[name] = rng.normal(0, 0.2, shape).astype("float32")
    return arrays
