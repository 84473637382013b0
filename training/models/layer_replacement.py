"""Copies of a network in which other layers take the place of some of its layers."""

from __future__ import annotations

from collections.abc import Callable

import keras


def replaced(
    model: keras.Model, replacement: Callable[[keras.layers.Layer], keras.layers.Layer]
) -> keras.Model:
    """Builds a copy of a network, with its weights, some of its layers replaced.

    Args:
        model: A functional model; models inside it are treated in the same way.
        replacement: Returns the layer that takes the place of a layer of `model`, with variables
            of the same shapes in the same order; or that layer itself, which both models share.

    Returns:
        A functional model of the same name, input and output.
    """

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Model):
            return replaced(layer, replacement)
        return replacement(layer)

    clone = keras.models.clone_model(
        model,
        input_tensors=model.input,
        clone_function=replace,
        call_function=lambda layer, *arguments, **named: layer(*arguments, **named),
    )
    clone.set_weights(model.get_weights())
    return clone
