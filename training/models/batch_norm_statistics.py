"""Batch-norm statistics over a data set, in place of the moving averages of training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np

from keras_resnet.scan.scanned_blocks import StackedBatchNorm
from keras_resnet.scan.visitor import batch_norms


def recompute(
    model: keras.Model,
    batches: Iterable[Any],
    sum_over_workers: Callable[[np.ndarray], np.ndarray] = lambda sums: sums,
) -> int:
    """Sets every batch norm's mean and variance to those over all of `batches`.

    The paper's authors did so for the models that they released. The layers below normalise each
    batch by its own statistics, as in training; a layer's mean and variance are then taken over
    all images, each batch weighted by its size.

    Args:
        model: A built model; only the moving statistics of its batch norms change.
        batches: Finite; of images, or of tuples that begin with images, as the model takes them.
            Several processes may take whole batches in turn.
        sum_over_workers: Adds up the arrays of these processes.

    Returns:
        The number of images seen, by all processes.

    Raises:
        ValueError: If there are no images.
    """
    layers = batch_norms(model)
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0  # a step leaves the batch's own moments in the moving statistics
    try:
        forward = _forward_pass(model)
        sums = np.zeros(1 + 2 * _moments(layers)[0].size)  # of images, of x and of x^2
        for batch in batches:
            images = batch[0] if isinstance(batch, tuple) else batch
            forward(images)
            means, variances = _moments(layers)
            sums += int(images.shape[0]) * np.concatenate(([1.0], means, variances + means**2))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    sums = sum_over_workers(sums)
    images_seen = int(sums[0])
    if not images_seen:
        raise ValueError("Batch-norm statistics need at least one batch of images; given none.")
    means, squares = np.split(sums[1:] / images_seen, 2)
    ends = np.cumsum([np.prod(layer.moving_mean.shape) for layer in layers])[:-1]
    parts = zip(layers, np.split(means, ends), np.split(squares - means**2, ends), strict=True)
    for layer, mean, variance in parts:
        layer.moving_mean.assign(mean.reshape(layer.moving_mean.shape))
        layer.moving_variance.assign(variance.reshape(layer.moving_mean.shape))
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
    layers: Sequence[keras.layers.BatchNormalization | StackedBatchNorm],
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the moving means of all layers, one after the other, and their variances."""

    def joined(variables: Iterable[keras.Variable]) -> np.ndarray:
        arrays = [keras.ops.convert_to_numpy(variable).ravel() for variable in variables]
        return np.concatenate(arrays).astype(np.float64)

    means = joined(layer.moving_mean for layer in layers)
    return means, joined(layer.moving_variance for layer in layers)
