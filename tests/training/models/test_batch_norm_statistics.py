"""Exact batch-norm statistics against means and variances written out."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from training.models import batch_norm_statistics


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    architecture = keras_resnet.Architecture("tiny", "cifar", "basic", (1, 1), (4, 6), "B")
    return keras_resnet.ResNet(architecture, weights=None, input_shape=(8, 8, 3), classes=3)


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(3, 5, (23, 8, 8, 3)).astype("f4")


def forward(model, images, size):
    """Every batch norm's inputs, batch by batch as in training: {name: [(N, H, W, C), ...]}."""
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    inside = keras.Model(model.input, [norm.input for norm in norms])
    parts = [
        [np.array(x) for x in inside(images[at : at + size], training=True)]
        for at in range(0, len(images), size)
    ]
    return {norm.name: [part[i] for part in parts] for i, norm in enumerate(norms)}


def test_means_and_variances_over_all_images(model, images):
    inputs = forward(model, images, 5)  # the last batch has three images
    assert len(inputs) == 7  # stem, two blocks of two, two projections
    trained = [np.array(weight) for weight in model.trainable_weights]
    seen = batch_norm_statistics.recompute(
        model, tf.data.Dataset.from_tensor_slices(images).batch(5)
    )
    assert seen == 23
    for name, parts in inputs.items():
        everything = np.concatenate(parts).reshape(-1, parts[0].shape[-1]).astype("f8")
        layer = model.get_layer(name)
        np.testing.assert_allclose(layer.moving_mean, everything.mean(0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(layer.moving_variance, everything.var(0), rtol=1e-3)
        assert layer.momentum == 0.9
    np.testing.assert_equal(model.trainable_weights, trained)


def test_processes_that_take_batches_in_turn_add_up(model, images):
    batches = [images[at : at + 5] for at in range(0, 23, 5)]
    batch_norm_statistics.recompute(model, batches)
    whole = model.get_weights()
    sums: list[np.ndarray] = []
    batch_norm_statistics.recompute(model, batches[1::2], lambda own: sums.append(own) or own)
    assert batch_norm_statistics.recompute(model, batches[::2], lambda own: own + sums[0]) == 23
    for one, other in zip(model.get_weights(), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_batches_may_carry_labels(model, images):
    pairs = tf.data.Dataset.from_tensor_slices((images, np.zeros(23, "i4"))).batch(23)
    assert batch_norm_statistics.recompute(model, pairs) == 23
    first = model.get_layer("conv1_bn")
    whole = np.array(keras.Model(model.input, first.input)(images)).astype("f8")
    np.testing.assert_allclose(first.moving_mean, whole.mean((0, 1, 2)), rtol=1e-4, atol=1e-4)


def test_no_images_change_nothing(model):
    before = model.get_weights()
    with pytest.raises(ValueError, match="at least one batch"):
        batch_norm_statistics.recompute(
            model, tf.data.Dataset.from_tensor_slices(np.zeros((0, 8, 8, 3), "f4"))
        )
    np.testing.assert_equal(model.get_weights(), before)
