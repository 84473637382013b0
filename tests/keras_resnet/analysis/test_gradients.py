"""Gradient norms against Keras's own training step and finite differences."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from analysis_samples import net, pixels

from keras_resnet import analysis


@pytest.mark.slow
def test_gradient_norms_agree_with_keras_own_step_and_with_finite_differences() -> None:
    model, images, labels = net("bottleneck"), pixels(6), np.array([0, 1, 2, 3, 4, 0])
    before = model.get_weights()
    names, norms = analysis.gradient_norms(model, images, labels)
    np.testing.assert_equal(before, model.get_weights())
    kernels = {layer.name: layer.kernel for layer in model.layers if hasattr(layer, "kernel")}
    assert names == tuple(kernels)

    # One step of SGD with rate 1 moves each kernel by its gradient.
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    kept = {name: np.array(kernel) for name, kernel in kernels.items()}
    model.train_on_batch(images, labels)
    gradients = {name: kept[name] - np.array(kernel) for name, kernel in kernels.items()}
    model.set_weights(before)

    def loss() -> float:
        probabilities = np.asarray(model(images, training=True), np.float64)
        return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())

    for name, norm in zip(names, norms, strict=True):
        length = np.linalg.norm(gradients[name])
        np.testing.assert_allclose(norm, length, rtol=2e-3, err_msg=name)
        step = 0.001 * gradients[name] / length  # the slope along the gradient is its norm
        kernels[name].assign(kept[name] + step)
        above = loss()
        kernels[name].assign(kept[name] - step)
        slope = (above - loss()) / 0.002
        kernels[name].assign(kept[name])
        np.testing.assert_allclose(norm, slope, rtol=0.05, err_msg=name)


def test_frozen_layers_have_no_gradient_norm() -> None:
    model = net()
    model.get_layer("conv1_conv").trainable = False
    names, norms = analysis.gradient_norms(model, pixels(2), [0, 1])
    assert "conv1_conv" not in names
    assert len(names) == len(norms) == 7


@pytest.mark.parametrize("labels", [[0, 5], [-1, 0], [0], [[0, 1]], [0.5, 1], []])
def test_labels_must_fit(labels: list) -> None:
    with pytest.raises(ValueError, match="classes from 0 to 4"):
        analysis.gradient_norms(net(), pixels(2), np.array(labels))


def test_one_batch_of_images_is_needed() -> None:
    model = net()
    for analyse in (analysis.grad_cam, analysis.gradient_norms):
        with pytest.raises(ValueError, match="no images"):
            analyse(model, pixels(0), [])
        with pytest.raises(ValueError, match=r"batch.*given shape \(32, 32, 3\)"):
            analyse(model, pixels(1)[0], [0])
