"""The numbers that test_backends.py compares, from a process of each Keras backend.

    KERAS_BACKEND=jax python run_on_backend.py DIRECTORY

The first run leaves its initial weights in DIRECTORY, later runs read them; every run writes its
numbers to DIRECTORY/<backend>.npz.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
from large_nets import undrawn

import keras_resnet
from keras_resnet import Architecture, analysis

BACKEND = keras.backend.backend()

BASIC = Architecture("tiny", "cifar", "basic", (1, 1), (8, 12), "A", stem_filters=8)
BOTTLENECK = Architecture("tiny", "imagenet", "bottleneck", (1, 1), (4, 6), "C", stem_filters=8)
NETS = {
    "basic-A": (BASIC, (16, 14, 3)),
    "bottleneck-C": (BOTTLENECK, (33, 32, 3)),
}
ANALYSED = "basic-A"  # one net: JAX compiles every operation of a gradient by itself
MIXED = ("mixed_float16", "mixed_bfloat16")


def build(name: str, channels_first: bool = False) -> keras.Model:
    """A net whose weights are still to be set: JAX takes seconds to draw them."""
    architecture, (height, width, channels) = NETS[name]
    with undrawn():
        model = keras_resnet.ResNet(
            architecture,
            weights=None,
            input_shape=(channels, height, width) if channels_first else (height, width, channels),
            classes=10,
        )
    # Before any prediction: `compile` discards the compiled functions.
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)  # else TensorFlow traces the step twice
    return model


def batch(name: str) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(4, *NETS[name][1])).astype("float32"), np.array([1, 3, 0, 9])


def behind_random_layers(model: keras.Model) -> keras.Model:
    """A model that `predict` and every analysis see as `model` itself."""
    random = [
        keras.layers.RandomFlip(),
        keras.layers.RandomRotation(0.4),
        keras.layers.Dropout(0.9),
    ]
    return keras.Sequential([keras.Input(model.input_shape[1:]), *random, model])


def analyses(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "responses": analysis.layer_responses(model, images).stds,
        "gradients": analysis.gradient_norms(model, images, labels).norms,
        "activation": analysis.grad_cam(model, images, labels, "conv2_block1_out").maps,
        "features": analysis.features(model, images),
    }


def float32(name: str, directory: Path) -> dict[str, np.ndarray | float]:
    """Predictions, a kernel and a loss, before and after a step; analyses before it."""
    file = directory / f"{name}.weights.h5"
    model = build(name)
    if not file.exists():
        keras.utils.set_random_seed(0)
        architecture, shape = NETS[name]
        options = {"weights": None, "input_shape": shape, "classes": 10}
        keras_resnet.ResNet(architecture, **options).save_weights(file)
    model.load_weights(file)
    images, labels = batch(name)
    before = model.predict_on_batch(images)
    kernel = model.get_layer("conv2_block1_1_conv")
    kernel_before = kernel.get_weights()[0]
    found = analyses(behind_random_layers(model), images, labels) if name == ANALYSED else {}
    loss = float(model.train_on_batch(images, labels))
    return {
        **found,
        "before": before,
        "loss": loss,
        "after": model.predict_on_batch(images),
        "kernel_before": kernel_before,
        "kernel": kernel.get_weights()[0],
        "moving_variance": model.get_layer("conv1_bn").get_weights()[3],
    }


def channels_first(name: str, directory: Path) -> dict[str, np.ndarray | float]:
    """Predictions from the same weights in the other data format; nothing runs on TensorFlow."""
    keras.config.set_image_data_format("channels_first")
    model = build(name, channels_first=True)
    model.load_weights(directory / f"{name}.weights.h5")
    keras.config.set_image_data_format("channels_last")
    block = model.get_layer("conv3_block1_out").output.shape
    numbers = {"block_shape": np.array(block[1:])}
    if BACKEND != "tensorflow":  # whose convolutions on a CPU are channels_last
        images, labels = batch(name)
        images = images.transpose(0, 3, 1, 2)
        numbers["before"] = model.predict_on_batch(images)
        if name == ANALYSED:
            found = analysis.grad_cam(model, images, labels, "conv2_block1_out")
            numbers["activation"] = found.maps
    return numbers


def mixed(name: str, policy: str, directory: Path) -> dict[str, np.ndarray | float]:
    keras.config.set_dtype_policy(policy)
    model = build(name)
    keras.config.set_dtype_policy("float32")
    model.load_weights(directory / f"{name}.weights.h5")
    images, labels = batch(name)
    return {
        "before": model.predict_on_batch(images).astype("float32"),
        "loss": float(model.train_on_batch(images, labels)),
        "after": model.predict_on_batch(images).astype("float32"),
    }


def main(directory: Path) -> None:
    numbers = {"has_tensorflow": "tensorflow" in sys.modules}
    for name in NETS:
        for key, value in float32(name, directory).items():
            numbers[f"{name}/float32/{key}"] = value
        for key, value in channels_first(name, directory).items():
            numbers[f"{name}/channels_first/{key}"] = value
    for name, policy in zip(NETS, MIXED, strict=True):
        for key, value in mixed(name, policy, directory).items():
            numbers[f"{name}/{policy}/{key}"] = value
    np.savez(directory / f"{BACKEND}.npz", **numbers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
