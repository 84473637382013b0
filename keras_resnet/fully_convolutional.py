"""Makes a network with a classifier fully convolutional, for images of any size."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from keras_resnet import graph

# The layers that may follow the pooling: each acts on the channels of one position alone.
POINTWISE = (layers.Dense, layers.Activation, layers.Softmax, layers.Dropout)


def fully_convolutional(model: keras.Model) -> keras.Model:
    """A copy of `model` that applies its classifier at every position of the map (section 3.4).

    Global average pooling becomes average pooling with stride 1 over windows as large as the last
    map of `model`, 7x7 in the ImageNet nets. The classifier acts on each window. An image of the
    size that `model` takes gives one position, with the scores of `model`. A larger image gives
    scores for each of its windows of that size; they differ from the scores of the cropped window
    because convolutions at a crop's border see zeros, and here the image around it.

    Args:
        model: A functional model for channels_last images of a fixed size, with one
            `GlobalAveragePooling2D` and dense layers behind it. It stays as it is. Where it
            subtracts a mean per pixel, the copy subtracts a mean per channel.

    Returns:
        A model (N, H, W, C) -> (N, positions down, positions across, classes), for H and W of at
        least the size that `model` takes. It is not compiled, and has its own weights.

    Raises:
        ValueError: If `model` is another kind of model.
    """
    pooling = _pooling(model)
    inputs = keras.Input((None, None, model.input_shape[-1]), dtype=model.inputs[0].dtype)
    return _rebuilt(model, inputs, pooling)


def _pooling(model: keras.Model) -> Any:
    """The global pooling of `model`, whose other layers are checked too."""
    if not hasattr(model, "_nodes_by_depth") or not isinstance(model.input_shape, tuple):
        raise ValueError(f"{model.name} is not a functional model of one input.")
    if len(model.input_shape) != 4 or None in model.input_shape[1:]:
        raise ValueError(
            f"The windows have the size of the last map, so {model.name} must take images of a "
            f"fixed size; given input_shape={model.input_shape}."
        )
    names = [layer.name for layer in model.layers]
    poolings = [layer for layer in model.layers if type(layer) is layers.GlobalAveragePooling2D]
    behind = model.layers[names.index(poolings[0].name) + 1 :] if len(poolings) == 1 else []
    if not any(isinstance(layer, layers.Dense) for layer in behind) or not all(
        isinstance(layer, POINTWISE) for layer in behind
    ):
        raise ValueError(
            f"{model.name} does not end in one global average pooling and a dense classifier, "
            "so it cannot be made fully convolutional."
        )
    if poolings[0].data_format != "channels_last":
        raise ValueError(f"{model.name} takes channels_first images; build it for channels_last.")
    return poolings[0]


def _rebuilt(model: Any, inputs: Any, pooling: Any) -> keras.Model:
    originals: dict[int, Any] = {}  # by the id of the copy

    def copy(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            inside = keras.Input((None, None, layer.input_shape[-1]), dtype=layer.inputs[0].dtype)
            return _rebuilt(layer, inside, pooling)
        if not isinstance(layer, layers.Layer):
            return layer  # operations have no weights
        if layer is pooling:
            window = graph.input_of(model, layer).shape[1:3]
            return layers.AveragePooling2D(window, strides=1, name=layer.name)
        if isinstance(layer, layers.Normalization):
            return _per_channel(layer)
        copied = type(layer).from_config(layer.get_config())
        originals[id(copied)] = layer
        return copied

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        original = originals.get(id(layer))
        if original is not None and original.weights:
            layer.set_weights(original.get_weights())
        return outputs

    return keras.models.clone_model(
        graph.uncompiled(model), inputs, clone_function=copy, call_function=call
    )


def _per_channel(layer: Any) -> keras.layers.Layer:
    """The normalisation by the mean, and the variance, averaged over all pixels."""
    mean, variance = (
        np.asarray(keras.ops.convert_to_numpy(value), np.float64).reshape(-1, value.shape[-1])
        for value in (layer.mean, layer.variance)
    )
    return layers.Normalization(
        mean=mean.mean(axis=0),
        variance=variance.mean(axis=0),
        invert=layer.invert,
        name=layer.name,
    )
