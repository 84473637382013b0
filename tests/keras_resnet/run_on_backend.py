"""The numbers that test_backends.py compares, from a process of each Keras backend.

    KERAS_BACKEND=jax python run_on_backend.py DIRECTORY

Every net is drawn from the same seed. Every run writes its numbers to DIRECTORY/<backend>.npz.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import keras
import numpy as np

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
    """A net with the initial weights of one seed."""
    architecture, (height, width, channels) = NETS[name]
    random.seed(0)  # Keras draws the initializers' seeds by it
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
    images = np.random.default_rng(0).normal(size=(4, *NETS[name][1])).astype("float32")
    return images, np.array([1, 3, 0, 9])


def behind_random_layers(model: keras.Model) -> keras.Model:
    """A model that `predict` and every analysis see as `model` itself."""
    layers = [
        keras.layers.RandomFlip(),
        keras.layers.RandomRotation(0.4),
        keras.layers.Dropout(0.9),
    ]
    return keras.Sequential([keras.Input(model.input_shape[1:]), *layers, model])


def analyses(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "responses": analysis.layer_responses(model, images).stds,
        "gradients": analysis.gradient_norms(model, images, labels).norms,
        "activation": analysis.grad_cam(model, images, labels, "conv2_block1_out").maps,
        "features": analysis.features(model, images),
    }


def float32(name: str) -> dict[str, np.ndarray | float]:
    """Predictions, a kernel and a loss, before and after a step; analyses before it."""
    model = build(name)
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


def channels_first(name: str) -> dict[str, np.ndarray | float]:
    """Predictions from the same weights in the other data format; nothing runs on TensorFlow."""
    keras.config.set_image_data_format("channels_first")
    model = build(name, channels_first=True)
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


def mixed(name: str, policy: str) -> dict[str, np.ndarray | float]:
    keras.config.set_dtype_policy(policy)
    model = build(name)
    keras.config.set_dtype_policy("float32")
    images, labels = batch(name)
    return {
        "before": model.predict_on_batch(images).astype("float32"),
        "loss": float(model.train_on_batch(images, labels)),
        "after": model.predict_on_batch(images).astype("float32"),
    }


def main(directory: Path) -> None:
    numbers = {"has_tensorflow": "tensorflow" in sys.modules}
    for name in NETS:
        for key, value in float32(name).items():
            numbers[f"{name}/float32/{key}"] = value
        for key, value in channels_first(name).items():
            numbers[f"{name}/channels_first/{key}"] = value
    for name, policy in zip(NETS, MIXED, strict=True):
        for key, value in mixed(name, policy).items():
            numbers[f"{name}/{policy}/{key}"] = value
    np.savez(directory / f"{BACKEND}.npz", **numbers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
