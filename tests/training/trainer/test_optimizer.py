"""The optimizer against Caffe's update rule and against L2 regularisation."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from training.config.recipes import Recipe
from training.trainer.coupled_sgd import CoupledSGD
from training.trainer.optimizer import Crossentropy, accuracy, balanced, optimizer


def caffe(weight, gradients, rate, momentum, decay):
    """Caffe's SGDSolver: v = momentum * v + rate * (gradient + decay * w); w = w - v."""
    velocity = np.zeros_like(weight)
    for gradient in gradients:
        velocity = momentum * velocity + rate * (gradient + decay * weight)
        weight = weight - velocity
    return weight


def steps(optimizer, start, gradients):
    variable = keras.Variable(start)
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return keras.ops.convert_to_numpy(variable)


@pytest.fixture
def drawn():
    random = np.random.default_rng(0)
    return random.normal(size=5).astype("float32"), random.normal(size=(6, 5)).astype("float32")


def test_three_steps_without_gradient_shrink_as_in_caffe():
    shrunk = steps(CoupledSGD(0.1, momentum=0.9, coupled_decay=0.1), [1.0], np.zeros((3, 1), "f4"))
    assert shrunk[0] == pytest.approx(0.944379, abs=1e-6)


def test_the_recipe_s_optimizer_is_caffe_s(drawn):
    start, gradients = drawn
    recipe = Recipe(learning_rate=0.1, momentum=0.9, weight_decay=0.05)
    expected = caffe(start.astype("f8"), gradients.astype("f8"), 0.1, 0.9, 0.05)
    np.testing.assert_allclose(steps(optimizer(recipe), start, gradients), expected, rtol=1e-5)


def test_coupled_decay_equals_l2_in_the_loss_and_not_decoupled_decay():
    images = np.random.default_rng(1).normal(size=(8, 4)).astype("f4")
    labels = np.arange(8) % 3
    trained = {}
    for name, regularizer, rule in (
        ("coupled", None, CoupledSGD(0.1, momentum=0.9, coupled_decay=0.02)),
        ("l2", keras.regularizers.L2(0.01), keras.optimizers.SGD(0.1, momentum=0.9)),
        ("decoupled", None, keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.02)),
    ):
        keras.utils.set_random_seed(0)
        layer = keras.layers.Dense(3, kernel_regularizer=regularizer, use_bias=False)
        model = keras.Sequential([keras.Input((4,)), layer])
        model.compile(rule, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(images, labels, batch_size=8, epochs=5, verbose=0)
        trained[name] = layer.get_weights()[0]
    np.testing.assert_allclose(trained["coupled"], trained["l2"], rtol=1e-4, atol=1e-6)
    assert np.abs(trained["coupled"] - trained["decoupled"]).max() > 1e-3


def test_accumulation_averages_the_gradients_of_its_batches(drawn):
    start, gradients = drawn
    accumulated = steps(optimizer(Recipe(accumulation=3, weight_decay=0.0)), start, gradients)
    whole = steps(optimizer(Recipe(weight_decay=0.0)), start, gradients.reshape(2, 3, 5).mean(1))
    np.testing.assert_allclose(accumulated, whole, rtol=1e-5)


def test_smoothed_targets_against_numpy():
    logits = np.random.default_rng(2).normal(size=(4, 5)).astype("f4")
    labels = np.array([0, 3, 4, 1])
    targets = np.full((4, 5), 0.1 / 5)
    targets[np.arange(4), labels] += 0.9
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -(targets * log_probabilities).sum(1).mean()
    assert float(Crossentropy(0.1)(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_weighted_classes_and_mixed_images_against_numpy():
    logits = np.random.default_rng(3).normal(size=(3, 4)).astype("f4")
    shares = np.array([[0.3, 0.7, 0, 0], [0, 0, 0, 1], [0, 0.5, 0.5, 0]], "f4")
    weights = balanced(np.array([10, 20, 30, 60]))
    assert weights == pytest.approx([3, 1.5, 1, 0.5])  # 120 images, 4 classes: 30 / count
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    losses = -(shares * log_probabilities).sum(1) * (shares * weights).sum(1)
    loss = Crossentropy(class_weights=weights)
    assert float(loss(shares, logits)) == pytest.approx(losses.mean(), rel=1e-5)
    assert float(loss(np.array([1]), logits[:1])) == pytest.approx(
        -1.5 * log_probabilities[0, 1], rel=1e-5
    )


def test_an_image_of_two_classes_is_right_in_the_larger_one():
    logits = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    np.testing.assert_array_equal(accuracy(np.array([0, 0]), logits), [1, 0])
    shares = np.array([[0.6, 0.4, 0.0], [0.6, 0.0, 0.4]])
    np.testing.assert_array_equal(accuracy(shares, logits), [1, 0])


def test_averaged_weights_follow_their_recursion(drawn):
    start, gradients = drawn
    rule = optimizer(Recipe(ema=0.8, weight_decay=0.0, momentum=0.0))
    variable = keras.Variable(start)
    rule.build([variable])
    average = None
    for gradient in gradients:
        rule.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        rule.finalize_variable_values([variable])  # what every `fit` ends with: not yet
        weight = keras.ops.convert_to_numpy(variable)
        average = weight if average is None else 0.8 * average + 0.2 * weight
    assert np.abs(weight - average).max() > 1e-2
    rule.take_averages([variable])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), average, rtol=1e-5)
