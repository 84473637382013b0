"""Batch-norm statistics over a data set, in place of the moving averages of training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np

from keras_resnet.scan.scanned_blocks import StackedBatchNorm
from keras_resnet.scan.visitor import batch_norms


def recompute(model: keras.Model, batches: Iterable[Any]) -> int:
    """Sets every batch norm's mean and variance to those over all of `batches`.

    The paper's authors did so for the models that they released. The layers below normalise each
    batch by its own statistics, as in training; a layer's mean and variance are then taken over
    all images, each batch weighted by its size.

    Args:
        model: A built model; only the moving statistics of its batch norms change.
        batches: Finite; of images, or of tuples that begin with images, as the model takes them.

    Returns:
        The number of images seen.

    Raises:
        ValueError: If there are no images.
    """
    layers = batch_norms(model)
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0  # a step leaves the batch's own moments in the moving statistics
    try:
        forward = _forward_pass(model)
        images_seen = 0
        zero = np.zeros((), np.float64)
        sums = [(zero, zero) for _ in layers]  # of x and of x^2
        for batch in batches:
            images = batch[0] if isinstance(batch, tuple) else batch
            forward(images)
            count = int(images.shape[0])
            images_seen += count
            for i, layer in enumerate(layers):
                mean, variance = _moments(layer)
                sums[i] = (
                    sums[i][0] + count * mean,
                    sums[i][1] + count * (variance + mean**2),
                )
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    if not images_seen:
        raise ValueError("Batch-norm statistics need at least one batch of images; given none.")
    for layer, (total, squares) in zip(layers, sums, strict=True):
        layer.moving_mean.assign(total / images_seen)
        layer.moving_variance.assign(squares / images_seen - (total / images_seen) ** 2)
    return images_seen


def _forward_pass(model: keras.Model) -> Callable[[Any], object]:
    """Returns the forward pass in training mode."""
    if keras.backend.backend() != "tensorflow":
        # Photographs come as TensorFlow's tensors.
        return lambda images: model(keras.ops.convert_to_tensor(images), training=True)
    import tensorflow as tf

    forward: Callable[[Any], object] = tf.function(
        lambda images: model(images, training=True), reduce_retracing=True
    )
    return forward


def _moments(
    layer: keras.layers.BatchNormalization | StackedBatchNorm,
) -> tuple[np.ndarray, np.ndarray]:
    mean = keras.ops.convert_to_numpy(layer.moving_mean).astype(np.float64)
    return mean, keras.ops.convert_to_numpy(layer.moving_variance).astype(np.float64)
