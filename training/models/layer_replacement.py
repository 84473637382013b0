"""The same network with some of its layers replaced by others that compute the same."""

from __future__ import annotations

from collections.abc import Callable

import keras


def replaced(
    model: keras.Model, replacement: Callable[[keras.layers.Layer], keras.layers.Layer]
) -> keras.Model:
    """The network of `model`, with its weights.

    Args:
        model: A functional model; its sections are treated alike.
        replacement: From a layer of `model` to the one that takes its place, with variables of the
            same shapes in the same order; or to the layer itself, which both models then share.

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
