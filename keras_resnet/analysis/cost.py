"""What a network costs, read off the built model."""

from __future__ import annotations

import math

import keras
from keras import layers

from keras_resnet.analysis.graph import walk
from keras_resnet.scan.scanned_blocks import ScannedBlocks


def parameters(model: keras.Model) -> int:
    """Number of trainable parameters (batch norm's moving statistics are not)."""
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of one image's forward pass: what Table 1 calls FLOPs.

    Convolutions and fully connected layers count; batch norm, activations, pooling and additions
    do not.

    Raises:
        ValueError: If the model's input size is not fixed, or a layer's kernel is of another kind.
    """
    return sum(_multiply_adds(layer) for layer in walk(model))


def _multiply_adds(layer: keras.layers.Layer) -> int:
    if isinstance(layer, ScannedBlocks):
        return layer.count * multiply_adds(layer.block.model)
    if not hasattr(layer, "kernel"):
        return 0
    if type(layer) not in (layers.Conv2D, layers.Dense) or getattr(layer, "groups", 1) != 1:
        raise ValueError(
            f"multiply_adds counts ungrouped Conv2D and Dense layers; {layer.name} is a "
            f"{type(layer).__name__}."
        )
    _, *output = layer.output.shape
    if None in output:
        raise ValueError(
            f"multiply_adds needs a model of fixed input size; {layer.name} gives {output}. "
            "Build it with input_shape=(height, width, channels)."
        )
    channels = layer.kernel.shape[-1]  # each number of a channel costs the channel's kernel once
    return int(math.prod(output) // channels * math.prod(layer.kernel.shape))
