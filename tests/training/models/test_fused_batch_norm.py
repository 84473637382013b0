"""Batch norm by TensorFlow's fused kernel changes nothing but the speed."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_steps import IMAGES, assert_train_alike, network, training

from keras_resnet import analysis
from keras_resnet.scan import visitor
from training.models.fused_batch_norm import FusedBatchNormalization, with_fused_batch_norm
from training.models.gradient_checkpointing import rematerialized

RNG = np.random.default_rng(0)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 5)] * 4),
    momentum=st.floats(0, 0.999),
    epsilon=st.sampled_from([1e-5, 1e-3]),
    offset=st.floats(-10, 10),
)
def test_a_layer_is_the_formula_in_numpy(shape, momentum, epsilon, offset):
    """Ioffe and Szegedy 2015, algorithm 1, with the biased variance in the moving average."""
    x = (RNG.normal(size=shape) + offset).astype("f4")
    layer = FusedBatchNormalization(momentum=momentum, epsilon=epsilon)
    layer.build(shape)
    gamma, beta, before, spread = RNG.uniform(0.5, 2, (4, shape[-1])).astype("f4")
    layer.set_weights([gamma, beta, before, spread])
    y = layer(x, training=True)
    exact = x.astype("f8")
    mean, variance = exact.mean((0, 1, 2)), exact.var((0, 1, 2))
    expected = (exact - mean) / np.sqrt(variance + epsilon) * gamma + beta
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=2e-3)
    for moving, old, batch in (
        (layer.moving_mean, before, mean),
        (layer.moving_variance, spread, variance),
    ):
        expected = momentum * old + (1 - momentum) * batch
        np.testing.assert_allclose(moving.numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "fields",
    [{"shortcut": "A"}, {"block": "bottleneck", "shortcut": "C"}, {"shortcut": None}],
    ids=["basic-A", "bottleneck-C", "plain"],
)
def test_two_steps_have_the_same_losses_gradients_and_statistics(fields):
    plain, other = network(**fields), with_fused_batch_norm(network(**fields))
    norms = visitor.batch_norms(other)
    assert norms
    assert all(type(norm) is FusedBatchNormalization for norm in norms)
    assert_train_alike(plain, other)


def test_in_bfloat16_it_is_as_near_to_float32_as_plain_keras(request):
    request.addfinalizer(lambda: keras.config.set_dtype_policy("float32"))
    _, exact = training(network())(IMAGES)
    keras.config.set_dtype_policy("mixed_bfloat16")
    models = network(), with_fused_batch_norm(network())
    plain, other = (training(model)(IMAGES)[1] for model in models)

    def distance(gradients):
        return np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(gradients, exact, strict=True)))

    assert 0 < distance(other) < 1.5 * distance(plain)
    assert distance(other) < 0.3 * distance([np.zeros_like(gradient) for gradient in exact])


def test_with_recomputed_blocks():
    assert_train_alike(network(), rematerialized(with_fused_batch_norm(network())))


def test_a_frozen_layer_is_inference():
    plain, other = network(), with_fused_batch_norm(network())
    for model in (plain, other):
        for norm in visitor.batch_norms(model):
            norm.trainable = False
    assert_train_alike(plain, other)
    for norm in visitor.batch_norms(other):
        np.testing.assert_array_equal(norm.moving_mean.numpy(), 0)


@pytest.mark.slow
def test_names_weights_and_order_stay_in_a_net_in_sections():
    fields = {"stem_filters": 1, "blocks": (70, 1), "filters": (1, 1), "shortcut": "A"}
    plain = network(**fields)
    other = with_fused_batch_norm(plain)
    assert [a.name for a in analysis.walk(other)] == [a.name for a in analysis.walk(plain)]
    assert [w.path for w in other.weights] == [w.path for w in plain.weights]
    np.testing.assert_equal(other.get_weights(), plain.get_weights())
    assert other.name == plain.name
    assert all(type(n) is FusedBatchNormalization for n in visitor.batch_norms(other))


def test_what_the_kernel_does_not_cover_stays():
    x = keras.Input((4, 4, 3))
    layers = [
        keras.layers.BatchNormalization(axis=1),
        keras.layers.BatchNormalization(scale=False),
        keras.layers.BatchNormalization(renorm=True),
    ]
    y = x
    for layer in layers:
        y = layer(y)
    kept = with_fused_batch_norm(keras.Model(x, y))
    assert [layer for layer in kept.layers if layer.weights] == layers
