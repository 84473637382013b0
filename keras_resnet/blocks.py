"""The pieces a network is made of: convolution with batch norm, shortcuts, and the block."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from keras_resnet.architectures import BLOCKS, Architecture

# The authors' Caffe models and torchvision: epsilon 1e-5; torchvision: momentum 0.1 in PyTorch's
# sense, 0.9 in Keras's. Keras's own defaults (1e-3, 0.99) are not the paper's.
BN_EPSILON = 1e-5
BN_MOMENTUM = 0.9


def he_normal() -> keras.initializers.Initializer:
    """A zero-mean Gaussian of variance 2 / fan-in (He et al. 2015, arXiv 1502.01852, eq. 10).

    Keras's own `he_normal` cuts it off at two standard deviations, which the paper does not, and
    takes longer to draw: 0.79 instead of 0.67 s for all of a ResNet-50 (two CPU cores, Intel Xeon).
    """
    return keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")


def channel_axis() -> int:
    return -1 if keras.config.image_data_format() == "channels_last" else 1


def conv_bn(
    x: Any,
    filters: int,
    kernel_size: int,
    strides: int,
    name: str,
    zero_scale: bool = False,
    dilation: int = 1,
) -> Any:
    """Bias-free convolution, batch norm: (N, H, W, C) -> (N, H/strides, W/strides, filters)."""
    if kernel_size > 1 and strides > 1:
        # Explicit, symmetric padding: padding="same" would pad 0 before and 1 after, and so sample
        # other pixels than the shortcut's [::2].
        x = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    else:
        padding = "same"
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        dilation_rate=dilation if kernel_size > 1 else 1,
        use_bias=False,
        kernel_initializer=he_normal(),
        name=f"{name}_conv",
    )(x)
    return layers.BatchNormalization(
        axis=channel_axis(),
        momentum=BN_MOMENTUM,
        epsilon=BN_EPSILON,
        gamma_initializer="zeros" if zero_scale else "ones",
        name=f"{name}_bn",
    )(x)


def zero_pad_channels(x: Any, channels: int) -> Any:
    """Zero channels, half on each side of x's own: (N, H, W, C) -> (N, H, W, channels)."""
    axis = channel_axis() % len(x.shape)
    missing = channels - x.shape[axis]
    widths = [[0, 0] for _ in x.shape]
    widths[axis] = [missing // 2, missing - missing // 2]
    return keras.ops.pad(x, widths)


def shortcut(x: Any, option: str, filters: int, strides: int, name: str) -> Any:
    """A block's shortcut, section 3.3: (N, H, W, C) -> (N, H/strides, W/strides, filters)."""
    grows = strides > 1 or x.shape[channel_axis()] != filters
    if option == "C" or (option == "B" and grows):
        return conv_bn(x, filters, 1, strides, name=f"{name}_0")
    if not grows:
        return x
    if strides > 1:
        x = layers.AveragePooling2D(1, strides=strides, name=f"{name}_0_pool")(x)  # x[::strides]
    return zero_pad_channels(x, filters)


def block(
    x: Any,
    architecture: Architecture,
    filters: int,
    strides: int,
    name: str,
    dilations: tuple[int, int] = (1, 1),
) -> Any:
    """One block, Fig. 2 and Fig. 5: (N, H, W, C) -> (N, H/strides, W/strides, outputs).

    `dilations` are those of the convolutions up to the one that takes the stride, and behind it.
    """
    row = BLOCKS[architecture.block]
    last = architecture.block_depth - 1
    strided = 1 if architecture.version == "v1.5" else 0
    y = x
    for i, (kernel_size, multiple) in enumerate(
        zip(row.kernel_sizes, row.filter_multiples, strict=True)
    ):
        y = conv_bn(
            y,
            multiple * filters,
            kernel_size,
            strides if i == strided else 1,
            name=f"{name}_{i + 1}",
            zero_scale=architecture.zero_init_residual and i == last,
            dilation=dilations[i > strided],
        )
        if i < last:
            y = layers.Activation("relu", name=f"{name}_{i + 1}_relu")(y)
    if architecture.shortcut is not None:
        outputs = row.filter_multiples[-1] * filters
        identity = shortcut(x, architecture.shortcut, outputs, strides, name)
        y = layers.Add(name=f"{name}_add")([identity, y])
    return layers.Activation("relu", name=f"{name}_out")(y)
