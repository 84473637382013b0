"""A network folded for inference, in the operations that TensorFlow and the runtimes fuse.

Keras adds a convolution's bias as a tensor of (1, 1, 1, C), and pads in an operation of its own.
TensorFlow merges convolution, bias, addition and ReLU where the bias is a `BiasAdd`, and its
pooling pads by itself. On two CPU cores (Intel Xeon, AVX-512, oneDNN) ResNet-50 at batch 16 takes
0.98 times as long for the first; of OpenVINO's 342 ms the padding before the pool took 7.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from training.models.layer_replacement import replaced


class BiasedConvolution(layers.Conv2D):
    """Convolution and `BiasAdd`: (N, H, W, C) -> (N, H', W', filters)."""

    def call(self, inputs: Any) -> Any:
        x = tf.nn.conv2d(
            inputs,
            self.kernel,
            self.strides,
            self.padding.upper(),
            dilations=self.dilation_rate,
        )
        return tf.nn.bias_add(x, self.bias)


class PaddedMaxPooling(layers.MaxPooling2D):
    """Max pooling that pads by itself: (N, H, W, C) -> (N, H', W', C).

    Args:
        margins: Rows above and below, columns left and right.
    """

    def __init__(self, margins: tuple[tuple[int, int], tuple[int, int]], **config: Any) -> None:
        super().__init__(**config)
        self.margins = margins

    def call(self, inputs: Any) -> Any:
        padding = ((0, 0), *self.margins, (0, 0))
        return tf.nn.max_pool2d(inputs, self.pool_size, self.strides, padding)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        padded = layers.ZeroPadding2D(self.margins).compute_output_shape(input_shape)
        return super().compute_output_shape(padded)


def fused(network: keras.Model) -> keras.Model:
    """The same function in fewer operations, for inference on TensorFlow.

    Args:
        network: A functional model, folded; its layers may stay in use.

    Returns:
        A functional model of the same name, inputs and outputs.
    """
    joined = list(_joined(network))
    paddings = {id(padding) for padding, _ in joined}
    margins = {id(pool): padding.padding for padding, pool in joined}

    def replacement(layer: layers.Layer) -> layers.Layer:
        if _is_plain_convolution(layer):
            return BiasedConvolution.from_config(layer.get_config())
        if id(layer) in margins:
            return PaddedMaxPooling(margins[id(layer)], **layer.get_config())
        if id(layer) in paddings:
            return layers.Identity(name=layer.name)
        return layer

    return replaced(network, replacement)


def _is_plain_convolution(layer: layers.Layer) -> bool:
    return (
        type(layer) is layers.Conv2D
        and layer.use_bias
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and layer.activation is keras.activations.linear
    )


def _joined(model: keras.Model) -> Iterator[tuple[layers.ZeroPadding2D, layers.MaxPooling2D]]:
    """Padding layers, each with the pool whose own padding can stand for its zeros.

    That padding is never the largest number in a window; nor is a zero, behind a ReLU. The model's
    own nodes are asked, and not its layers, which other models may share.
    """
    nodes = [node for at_depth in model._nodes_by_depth.values() for node in at_depth]
    makers = {id(x): node for node in nodes if not node.is_input for x in node.outputs}
    uses = Counter(id(x) for node in nodes for x in node.input_tensors)
    uses.update(id(x) for x in model.outputs)
    for node in nodes:
        pool = node.operation
        if isinstance(pool, keras.Model):
            yield from _joined(pool)
        if not isinstance(pool, layers.MaxPooling2D) or pool.padding != "valid":
            continue
        (padded,) = node.input_tensors
        before = makers.get(id(padded))
        if before is None or not isinstance(before.operation, layers.ZeroPadding2D):
            continue
        relu = makers.get(id(before.input_tensors[0]))
        if (
            uses[id(padded)] == 1
            and pool.data_format == "channels_last"
            and relu is not None
            and _is_relu(relu.operation)
        ):
            yield before.operation, pool


def _is_relu(layer: layers.Layer) -> bool:
    activation = getattr(layer, "activation", None)
    return isinstance(layer, layers.ReLU) or activation is keras.activations.relu
