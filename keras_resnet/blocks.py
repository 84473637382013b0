"""The pieces that a network is made of: convolution with batch norm, shortcut, block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_resnet.stages import Block, Convolution, Shortcut

# The authors' Caffe models and torchvision: epsilon 1e-5; torchvision: momentum 0.1 in PyTorch's
# sense, 0.9 in Keras's. Keras's own defaults (1e-3, 0.99) are not the paper's.
BN_EPSILON = 1e-5
BN_MOMENTUM = 0.9


class HeNormal(keras.initializers.VarianceScaling):
    """A zero-mean Gaussian of variance 2 / fan-in (He et al. 2015, arXiv 1502.01852, eq. 10).

    NumPy draws it, so that one seed gives the same weights on every backend, and since JAX compiles
    a program for every shape it draws: 18 s for a ResNet-50 (two CPU cores, AMD EPYC), NumPy 0.4 s.
    Keras's own `he_normal` is cut off at two standard deviations, which the paper's is not.
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        drawn = np.random.default_rng(self.seed).standard_normal(shape, np.float32)
        drawn *= math.sqrt(self.scale / math.prod(shape[:-1]))
        return keras.ops.convert_to_tensor(drawn, dtype)

    __class__ = keras.initializers.VarianceScaling  # is saved as this: plain Keras opens the file


def he_normal() -> keras.initializers.Initializer:
    """The initializer of every kernel."""
    return HeNormal(2.0, "fan_in", "untruncated_normal")


def channel_axis() -> int:
    """The axis of channels in images: -1, or 1 under channels_first."""
    return -1 if keras.config.image_data_format() == "channels_last" else 1


def conv_bn(x: Any, conv: Convolution) -> Any:
    """Bias-free convolution, batch norm: (N, H, W, C) -> (N, H/strides, W/strides, filters)."""
    padding = "same"
    if conv.kernel_size > 1 and conv.strides > 1:
        # Explicit, symmetric padding: padding="same" would pad 0 before and 1 after, and so sample
        # other pixels than the shortcut's [::2].
        x = layers.ZeroPadding2D(conv.kernel_size // 2, name=f"{conv.name}_pad")(x)
        padding = "valid"
    x = layers.Conv2D(
        conv.filters,
        conv.kernel_size,
        strides=conv.strides,
        padding=padding,
        dilation_rate=conv.dilation,
        use_bias=False,
        kernel_initializer=he_normal(),
        name=f"{conv.name}_conv",
    )(x)
    return layers.BatchNormalization(
        axis=channel_axis(),
        momentum=BN_MOMENTUM,
        epsilon=BN_EPSILON,
        gamma_initializer="zeros" if conv.zero_scale else "ones",
        name=f"{conv.name}_bn",
    )(x)


def relu(x: Any, name: str) -> Any:
    """The rectifier, of any shape."""
    return layers.Activation("relu", name=name)(x)


def shortcut(x: Any, path: Shortcut, name: str) -> Any:
    """The shortcut of a block, section 3.3: (N, H, W, C) -> (N, H/strides, W/strides, filters)."""
    if path.projection is not None:
        return conv_bn(x, path.projection)
    if path.strides > 1:
        pool = layers.AveragePooling2D(1, strides=path.strides, name=f"{name}_0_pool")
        x = pool(x)  # x[:, ::strides, ::strides]
    if path.zero_channels:
        x = zero_pad_channels(x, path.zero_channels, f"{name}_0_pad")
    return x


def zero_pad_channels(x: Any, channels: int, name: str) -> Any:
    """Further channels of zeros, half on each side: (N, H, W, C) -> (N, H, W, C + channels)."""
    margins = (channels // 2, channels - channels // 2)
    # A layer, since not every file format holds operations of keras.ops. ZeroPadding2D pads the two
    # axes that it takes for height and width: by the other data format, one of them is channels.
    if channel_axis() == -1:
        return layers.ZeroPadding2D(((0, 0), margins), data_format="channels_first", name=name)(x)
    return layers.ZeroPadding2D((margins, (0, 0)), data_format="channels_last", name=name)(x)


def block(x: Any, decided: Block) -> Any:
    """One block, Fig. 2 and Fig. 5: (N, H, W, C) -> (N, H/strides, W/strides, filters)."""
    *first, last = decided.convolutions
    y = x
    for conv in first:
        y = relu(conv_bn(y, conv), f"{conv.name}_relu")
    y = conv_bn(y, last)
    if decided.shortcut is not None:
        identity = shortcut(x, decided.shortcut, decided.name)
        y = layers.Add(name=f"{decided.name}_add")([identity, y])
    return relu(y, f"{decided.name}_out")
