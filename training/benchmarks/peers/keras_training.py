"""Training steps in plain Keras, everything at its default."""

from __future__ import annotations

import time
from collections.abc import Callable

import keras
import numpy as np

import keras_resnet
from keras_resnet import architectures


def stepping(network: str, batch: int, steps: int) -> Callable[[], float]:
    """Images per second of a CIFAR net, or of keras.applications' ResNet-50."""
    if network == "resnet50":
        net = keras.applications.ResNet50(weights=None, classifier_activation=None)
    else:
        row = architectures.get(network)
        net = keras_resnet.ResNet(row, weights=None, classifier_activation=None)
    model = decayed(net)
    model.compile(
        optimizer=keras.optimizers.SGD(0.1, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return fitting(model, batch, steps)


def decayed(network: keras.Model) -> keras.Model:
    """With the paper's weight decay of 1e-4, as plain Keras has it: L2 terms in the loss."""

    def decayed(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if "kernel_regularizer" in config:
            config["kernel_regularizer"] = keras.regularizers.L2(0.5e-4)
        return type(layer).from_config(config)

    return keras.models.clone_model(network, clone_function=decayed)


def fitting(model: keras.Model, batch: int, steps: int) -> Callable[[], float]:
    """Images per second of a compiled model's `fit` on one batch of noise, over and over."""
    import tensorflow as tf

    images = np.random.default_rng(0).normal(size=(batch, *model.input_shape[1:]))
    labels = np.zeros(batch, np.int32)
    batches = tf.data.Dataset.from_tensors((images.astype(np.float32), labels)).repeat()
    # Or the end of a `fit` waits for tf.data's tuner, asleep for as long as it has run: no step.
    options = tf.data.Options()
    options.autotune.enabled = False
    batches = batches.with_options(options)

    def repeat() -> float:
        began = time.perf_counter()
        model.fit(batches, steps_per_epoch=steps, verbose=0)
        return steps * batch / (time.perf_counter() - began)

    repeat()
    return repeat
