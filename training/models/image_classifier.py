"""Any Keras classifier of images as one function: raw pixels of one size in, probabilities out."""

from __future__ import annotations

import logging
from typing import Any

import keras
import numpy as np

import keras_resnet
from keras_resnet import architectures
from training.models.functional import applied, functional_view, last_operations

logger = logging.getLogger(__name__)


def image_classifier(
    model: keras.Model, convention: str | None = None, image_size: int | None = None
) -> keras.Model:
    """The classifier that `model` is, as evaluation and export take it.

    Args:
        model: A functional or sequential model of (N, H, W, 1 or 3) images; H = W, or any.
        convention: Key of `keras_resnet.preprocessing.CONVENTIONS`, where the model takes images
            preprocessed by it.
        image_size: S, for a model of images of any size. Default: the size that the paper gives
            for the network of `keras_resnet` in the model.

    Returns:
        Raw pixels 0..255, float32 (N, S, S, C) -> probabilities (N, K). It shares the model's
        layers. Scores without a softmax get one; a sigmoid of one class becomes two classes.

    Raises:
        ValueError: If the model is no such classifier; the message says what it would take.
    """
    graph = functional_view(model)
    size = _image_size(graph, image_size)
    channels, dtype = graph.input.shape[-1], graph.input.dtype
    any_number = (None, size, size, channels)
    if convention or keras.backend.is_int_dtype(dtype) or graph.input.shape != any_number:
        pixels = keras.Input((size, size, channels), name="pixels")
        x = pixels
        if convention:
            x = keras_resnet.preprocess_input(x, convention, data_format="channels_last")
        if keras.backend.is_int_dtype(dtype):
            x = keras.ops.cast(keras.ops.round(x), dtype)
        graph = keras.Model(pixels, applied(graph, x), name=graph.name)
    return _with_probabilities(graph)


def _image_size(graph: keras.Model, asked: int | None) -> int:
    """The side of the square images that the model takes or, if it takes any, is to take."""
    shape = graph.input.shape
    if len(shape) != 4 or shape[3] not in (1, 3):
        first = len(shape) == 4 and shape[1] in (1, 3)
        raise ValueError(
            f"{graph.name} takes {tuple(shape)}; images are (N, height, width, 1 or 3 channels)."
            + (" Build it channels_last; keras_resnet.copy_weights fills it." if first else "")
        )
    _, height, width, _ = shape
    known = {side for side in (height, width) if side is not None}
    if len(known) == 2:
        raise ValueError(
            f"{graph.name} takes images of {height}x{width}; evaluation and export resize to "
            "squares. Build it with input_shape=(size, size, channels)."
        )
    if known and asked not in (None, *known):
        raise ValueError(
            f"{graph.name} takes images of {height}x{width}; an image size can be chosen for "
            f"models of any size only. Given {asked}."
        )
    found = asked or next(iter(known), None) or _default_size(graph)
    if found is None:
        raise ValueError(
            f"{graph.name} takes images of any size: say which, such as --image-size 224."
        )
    if not known:
        logger.info("%s takes images of any size; here they are %dx%d", graph.name, found, found)
    return found


def _default_size(model: keras.Model) -> int | None:
    """The image size of the paper's network that `model` is or holds."""
    if model.name in architectures.ARCHITECTURES:
        stem = architectures.ARCHITECTURES[model.name].stem
        return architectures.STEMS[stem].image_size
    nested = (layer for layer in model.layers if isinstance(layer, keras.Model))
    return next((size for size in map(_default_size, nested) if size), None)


def _with_probabilities(model: keras.Model) -> keras.Model:
    """`model`, with what its last layer lacks to give the probabilities of two or more classes."""
    shape = model.output.shape
    if len(shape) != 2:
        raise ValueError(
            f"{model.name} gives {tuple(shape)}; a classifier gives probabilities (N, classes). "
            "Add a top, or export a model that has one."
        )
    linear = getattr(_last(model), "activation", None) is keras.activations.linear
    if shape[1] > 1:
        if not linear:
            return model
        logger.info("%s gives scores without a softmax: one is added", model.name)
        probabilities = keras.layers.Softmax(dtype="float32", name="probabilities")(model.output)
    elif linear:
        raise ValueError(
            f"{model.name} ends in one number without an activation. If it tells two classes "
            "apart, add keras.layers.Activation('sigmoid'); a regression has no probabilities."
        )
    else:
        logger.info("%s gives one probability p: its classes are 1 - p and p", model.name)
        signed = keras.ops.multiply(model.output, np.array([-1, 1], np.float32))  # (N, 2)
        probabilities = keras.ops.add(signed, np.array([1, 0], np.float32))
    return keras.Model(model.input, probabilities, name=model.name)


def _last(model: keras.Model) -> Any:
    """The operation that gives the model's output, in whichever nested model it is."""
    last, _ = next(last_operations(model), (None, None))
    return _last(functional_view(last)) if isinstance(last, keras.Model) else last
