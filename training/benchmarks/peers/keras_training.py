"""Training steps in plain Keras, everything at its default."""

from __future__ import annotations

from collections.abc import Callable

import keras

import keras_resnet
from keras_resnet import architectures
from training.benchmarks.fitting import POLICIES, fitting


def stepping(network: str, batch: int, steps: int, precision: str) -> Callable[[], float]:
    """Measures the images per second of a CIFAR net, or of keras.applications' ResNet-50."""
    keras.config.set_dtype_policy(POLICIES[precision])
    if network == "resnet50":
        net = keras.applications.ResNet50(weights=None, classifier_activation=None)
    else:
        architecture = architectures.get(network)
        net = keras_resnet.ResNet(architecture, weights=None, classifier_activation=None)
    model = decayed(net)
    model.compile(
        optimizer=keras.optimizers.SGD(0.1, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return fitting(model, batch, steps)


def decayed(network: keras.Model) -> keras.Model:
    """Adds the paper's weight decay of 1e-4 as plain Keras has it: L2 terms in the loss."""

    def decayed(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if "kernel_regularizer" in config:
            config["kernel_regularizer"] = keras.regularizers.L2(0.5e-4)
        return type(layer).from_config(config)

    return keras.models.clone_model(network, clone_function=decayed)
