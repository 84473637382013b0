"""Tiny nets in training on TensorFlow, and a comparison of two of them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet

IMAGES = np.random.default_rng(0).normal(1, 2, size=(6, 8, 8, 3)).astype("f4")
LABELS = np.arange(6)


def network(**fields):
    """A tiny net, always with the same random weights."""
    keras.utils.set_random_seed(0)
    defaults = {"stem_filters": 4, "blocks": (1, 1), "filters": (4, 6), "shortcut": "B"}
    return keras_resnet.ResNet(
        keras_resnet.Architecture("tiny", "cifar", **{"block": "basic", **defaults, **fields}),
        input_shape=IMAGES.shape[1:],
        classifier_activation=None,
    )


def training(model, learning_rate=0.01):
    """One training step as a function of the images: (loss, gradients)."""
    optimizer = keras.optimizers.SGD(learning_rate, momentum=0.9)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            losses = keras.losses.sparse_categorical_crossentropy(LABELS, logits, from_logits=True)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss, gradients

    return lambda images: tf.nest.map_structure(np.asarray, step(images))


def assert_close(actual, expected, name=""):
    """Equal to 1e-5 of the largest number."""
    atol = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=atol, err_msg=name)


def assert_train_alike(plain, other):
    """Two steps have the same losses and gradients, and leave the same weights and outputs."""
    steps = [training(plain), training(other)]
    for _ in range(2):
        (loss, gradients), (loss_again, gradients_again) = (step(IMAGES) for step in steps)
        assert loss_again == pytest.approx(loss, rel=1e-5)
        for expected, actual in zip(gradients, gradients_again, strict=True):
            assert_close(actual, expected)
    for expected, actual in zip(plain.weights, other.weights, strict=True):
        assert_close(actual.numpy(), expected.numpy(), expected.path)
    assert_close(other.predict(IMAGES, verbose=0), plain.predict(IMAGES, verbose=0))
