"""The loop over stacked weights gives the numbers and gradients of the steps written out."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_resnet.scan.loops import scan

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="elsewhere it is keras.ops.scan"
)

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3, 4)).astype(np.float32)
MATRICES = RANDOM.normal(size=(5, 4, 4)).astype(np.float32)
BIASES = RANDOM.normal(size=(5, 4)).astype(np.float32)


def step(x, rows):
    matrix, bias = rows
    y = ops.tanh(ops.matmul(x, matrix) + bias)
    return y, [ops.mean(y, axis=0), ops.max(y)]


def test_every_step_sees_its_own_row_and_its_results_come_in_order():
    like = [ops.zeros((5, 4)), ops.zeros((5,))]
    y, (means, maxima) = scan(step, ops.array(X), [ops.array(MATRICES), ops.array(BIASES)], like)
    x, expected = X, []
    for matrix, bias in zip(MATRICES, BIASES, strict=True):
        x = np.tanh(x @ matrix + bias)
        expected.append(x)
    np.testing.assert_allclose(y, x, atol=1e-6)
    np.testing.assert_allclose(means, np.mean(expected, axis=1), atol=1e-6)
    np.testing.assert_allclose(maxima, np.max(expected, axis=(1, 2)), atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_are_those_of_the_steps_written_out(compiled):
    import tensorflow as tf

    like = [tf.zeros((5, 4)), tf.zeros((5,))]

    def looped(x, *stacks):
        y, (means, _) = scan(step, x, stacks, like)
        return tf.reduce_sum(y**2) + tf.reduce_sum(means**3)

    def written_out(x, matrices, biases):
        loss = 0.0
        for i in range(5):
            x, (mean, _) = step(x, (matrices[i], biases[i]))
            loss += tf.reduce_sum(mean**3)
        return loss + tf.reduce_sum(x**2)

    def gradients(function):
        given = [tf.constant(array) for array in (X, MATRICES, BIASES)]
        with tf.GradientTape() as tape:
            tape.watch(given)
            loss = function(*given)
        return tape.gradient(loss, given)

    wrap = tf.function if compiled else lambda function: function
    actual, expected = (wrap(lambda f=f: gradients(f))() for f in (looped, written_out))
    for found, wanted in zip(actual, expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
