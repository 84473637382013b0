"""Muon against NumPy's singular value decomposition and a slow NumPy optimizer."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from training.config.recipes import Recipe
from training.trainer.muon import Muon, orthogonal
from training.trainer.optimizer import optimizer


@pytest.mark.parametrize("shape", [(27, 16), (16, 16), (8, 40), (1, 5)])
def test_the_orthogonal_matrix_has_the_singular_vectors_of_the_matrix(shape):
    matrix = np.random.default_rng(0).normal(size=shape).astype("f4")
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    found = keras.ops.convert_to_numpy(orthogonal(keras.ops.convert_to_tensor(matrix)))
    values = left.T @ found @ right.T
    assert np.abs(values - np.diag(np.diag(values))).max() < 1e-3
    assert np.diag(values).min() > 0.6
    assert np.diag(values).max() < 1.25


def jordan(kernel, gradients, rate, momentum, nesterov):
    """Jordan's algorithm in float64: momentum, five iterations, the kernel's norm."""
    shape, buffer = kernel.shape, 0.0
    for gradient in gradients:
        buffer = momentum * buffer + gradient
        update = gradient + momentum * buffer if nesterov else buffer
        update = update.reshape(-1, shape[-1]).T
        update = update / np.sqrt((update**2).sum())
        for _ in range(5):
            a = update @ update.T
            update = 3.4445 * update - 4.7750 * a @ update + 2.0315 * a @ a @ update
        rows = kernel.reshape(-1, shape[-1])
        rows = rows / np.sqrt((rows**2).sum()) * np.sqrt(min(rows.shape))
        kernel = (rows - rate * update.T).reshape(shape)
    return kernel


def moved(rule, starts, gradients):
    variables = [keras.Variable(start) for start in starts]
    rule.build(variables)
    for step in zip(*gradients, strict=True):
        rule.apply([keras.ops.convert_to_tensor(gradient) for gradient in step], variables)
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.8, True), (0.8, False), (0.0, False)])
def test_kernels_move_by_muon_and_the_other_weights_by_sgd(momentum, nesterov):
    random = np.random.default_rng(1)
    shapes = [(3, 3, 2, 4), (4,), (4, 3)]
    starts = [random.normal(size=shape).astype("f4") for shape in shapes]
    gradients = [random.normal(size=(3, *shape)).astype("f4") for shape in shapes]
    sgd = Recipe(learning_rate=0.5, momentum=momentum, nesterov=nesterov, weight_decay=0.01)
    kernel, *others = moved(optimizer(replace(sgd, muon=0.05)), starts, gradients)
    start, steps = starts[0].astype("f8"), gradients[0].astype("f8")
    expected = jordan(start, steps, 0.05, momentum, nesterov)
    np.testing.assert_allclose(kernel, expected, atol=1e-4)
    for found, by_sgd in zip(others, moved(optimizer(sgd), starts[1:], gradients[1:]), strict=True):
        np.testing.assert_array_equal(found, by_sgd)


def test_the_learning_rate_scales_the_step():
    start = np.random.default_rng(2).normal(size=(1, 1, 3, 3)).astype("f4")
    gradient = np.random.default_rng(3).normal(size=(1, 1, 1, 3, 3)).astype("f4")
    norm = 3**0.5
    unit = start * (norm / np.sqrt((start**2).sum()))
    changes = [
        moved(Muon(rate, momentum=0.9, kernel_rate=0.1), [start], [gradient])[0] - unit
        for rate in (0.2, 0.4)
    ]
    np.testing.assert_allclose(2 * changes[0], changes[1], atol=1e-6)
    assert np.sqrt((changes[1] ** 2).sum()) / norm == pytest.approx(0.04, rel=0.3)


def test_the_stacked_kernels_of_a_loop_move_as_each_kernel_does():
    random = np.random.default_rng(4)
    start = random.normal(size=(2, 3, 3, 2, 4)).astype("f4")
    gradients = random.normal(size=(3, 2, 3, 3, 2, 4)).astype("f4")
    rule = {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "kernel_rate": 0.5}
    (stacked,) = moved(Muon(**rule), [start], [gradients])
    each = moved(Muon(**rule), list(start), list(gradients.swapaxes(0, 1)))
    np.testing.assert_allclose(stacked, each, atol=1e-5)
