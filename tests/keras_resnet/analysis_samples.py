"""Small nets with random statistics, and pixels, for the tests of keras_resnet.analysis."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import Architecture, analysis, cifar_architecture, resnet

KINDS = {
    "plain": cifar_architecture(8, residual=False),
    "basic": cifar_architecture(8),
    "bottleneck": Architecture(
        "tiny", "imagenet", "bottleneck", (1, 2), (4, 6), "B", stem_filters=4
    ),
}


def net(kind: str = "basic", nested: bool = False, seed: int = 0) -> keras.Model:
    """Random weights, statistics and scales; raw pixels in, the mean subtracted inside."""
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((32, 32, 3), name="pixels")
    mean = np.full((32, 32, 3), 120.0)
    x = keras.layers.Normalization(axis=(1, 2, 3), mean=mean, variance=64.0**2 + 0 * mean)(pixels)
    with pytest.MonkeyPatch.context() as patch:
        if nested:
            patch.setattr(resnet, "DEEPEST_FLAT", 2)
            patch.setattr(resnet, "BLOCKS_PER_SECTION", 1)
        model = keras_resnet.ResNet(KINDS[kind], input_tensor=x, classes=5)
    rng = np.random.default_rng(seed)
    for layer in analysis.walk(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.moving_mean.shape
            beta, mean = rng.normal(0, 0.3, (2, *shape))
            gamma, variance = rng.uniform(0.5, 2, (2, *shape))
            layer.set_weights([gamma, beta, mean, variance])
    return model


def pixels(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (n, 32, 32, 3)).astype(np.float32)
