"""The forward pass as Table 1 has it: stem, stages of blocks, top; each from tensor to tensor.

Shapes are channels_last; under `keras.config.image_data_format() == "channels_first"` they are
(N, C, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from keras_resnet import blocks
from keras_resnet.architectures import STEMS, Architecture
from keras_resnet.scan.scanned_blocks import ScannedBlocks
from keras_resnet.stages import Block, Convolution, stages

# Keras walks a functional graph recursively, a frame per layer and three layers per convolution,
# so a flat net of more than some 300 layers meets Python's limit of 1000 frames, when it is built
# and when it is loaded. Deeper nets are a chain of nested models, `conv2_blocks1to25` and so on.
DEEPEST_FLAT = 200  # weighted layers
BLOCKS_PER_SECTION = 25


def feature_maps(
    images: Any, architecture: Architecture, output_stride: int | None = None, scan: bool = False
) -> list[Any]:
    """The output of every stage, conv2_x first.

    Args:
        images: A Keras tensor (N, H, W, channels).
        architecture: The network.
        output_stride: See `keras_resnet.stages.stages`.
        scan: Whether the blocks of a stage after its first are one layer, `ScannedBlocks`.
    """
    deep = architecture.depth > DEEPEST_FLAT
    assemble = _scanned if scan else _nested if deep else _flat
    x = stem(images, architecture)  # ImageNet: (N, 56, 56, 64); CIFAR: (N, 32, 32, 16)
    maps = []
    for stage in stages(architecture, output_stride):
        # ResNet-50: (N, 56, 56, 256), (N, 28, 28, 512), (N, 14, 14, 1024), (N, 7, 7, 2048)
        x = assemble(x, stage)
        maps.append(x)
    return maps


def stem(x: Any, architecture: Architecture) -> Any:
    """The first convolution, and max pooling in ImageNet nets."""
    stem = STEMS[architecture.stem]
    conv1 = Convolution("conv1", architecture.first_filters, stem.kernel_size, stem.strides)
    x = blocks.relu(blocks.conv_bn(x, conv1), "conv1_relu")  # ImageNet: (N, 112, 112, 64)
    if stem.max_pool:
        # Padded by zeros, which never win after a ReLU, as keras.applications and torchvision do.
        x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)  # (N, 56, 56, 64)
    return x


def top(x: Any, classes: int, activation: Any) -> Any:
    """Global average pooling and the classifier: (N, H, W, C) -> (N, classes)."""
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)  # (N, C)
    return layers.Dense(
        classes,
        activation=activation,
        kernel_initializer=blocks.he_normal(),
        # Under a mixed policy the softmax must not overflow: compute it in the variables' type.
        dtype=keras.config.dtype_policy().variable_dtype,
        name="predictions",
    )(x)


def pooled(x: Any, pooling: str | None) -> Any:
    """The output of a network without a top: (N, H, W, C), or vectors (N, C) of it."""
    if pooling == "avg":
        return layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if pooling == "max":
        return layers.GlobalMaxPooling2D(name="max_pool")(x)
    return x


# Three ways of assembling a stage, (N, H, W, C) -> (N, H/strides, W/strides, filters); the numbers
# that they compute are the same.


def _flat(x: Any, stage: Sequence[Block]) -> Any:
    """Block after block, in the graph of the whole network."""
    for block in stage:
        x = blocks.block(x, block)
    return x


def _nested(x: Any, stage: Sequence[Block]) -> Any:
    """A chain of models of at most `BLOCKS_PER_SECTION` blocks each."""
    for start in range(0, len(stage), BLOCKS_PER_SECTION):
        section = stage[start : start + BLOCKS_PER_SECTION]
        x = _model(x, section, _name(section))(x)
    return x


def _scanned(x: Any, stage: Sequence[Block]) -> Any:
    """The first block, which may change the shape; the others as a loop over stacked weights."""
    first, *others = stage
    x = blocks.block(x, first)
    if not others:
        return x
    one = _model(x, others[:1], others[0].name)
    return ScannedBlocks(one, len(others), name=_name(others))(x)


def _model(x: Any, section: Sequence[Block], name: str) -> keras.Model:
    """Blocks as a model of their own, to be called with tensors like x."""
    inside = keras.Input(x.shape[1:], dtype=x.dtype)
    return keras.Model(inside, _flat(inside, section), name=name)


def _name(section: Sequence[Block]) -> str:
    """The name of several blocks together: `conv2_blocks1to25`."""
    return f"conv{section[0].stage}_blocks{section[0].number}to{section[-1].number}"
