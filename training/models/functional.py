"""Keras models as graphs: a functional view, and the same layers called on another tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_resnet import graph


def functional_view(model: keras.Model) -> keras.Model:
    """A functional model with the layers of `model`, one input tensor and one output tensor.

    Args:
        model: A functional model or a built sequential one; it stays as it is.

    Raises:
        ValueError: If the model is of neither kind, or has several inputs or outputs.
    """
    if not graph.is_graph(model) and not isinstance(model, keras.Sequential):
        raise ValueError(
            f"{model.name} ({type(model).__name__}) is neither functional nor sequential, so its "
            "layers are unknown: call it on a keras.Input x and build keras.Model(x, model(x))."
        )
    if not graph.is_graph(model):
        raise ValueError(f"{model.name} has no input shape yet: begin it with a keras.Input.")
    for kind, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
        if len(tensors) != 1:
            names = ", ".join(tensor.name for tensor in tensors)
            raise ValueError(
                f"{model.name} has {len(tensors)} {kind} ({names}); an image classifier has one. "
                "Build a keras.Model of the input and output to keep."
            )
    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)


def applied(model: keras.Model, x: Any, call: Callable[..., Any] | None = None) -> Any:
    """The output tensor of the model's own layers on `x`.

    Args:
        model: A functional model with one output.
        x: A symbolic tensor in place of the model's input.
        call: Is given each layer or operation, and its arguments. Default: calls it.
    """
    return model._run_through_graph(
        x,
        operation_fn=lambda layer: layer,
        call_fn=call or (lambda layer, *arguments, **named: layer(*arguments, **named)),
    )


def last_operations(model: keras.Model) -> Iterator[tuple[Any, Any]]:
    """(operation, its input tensor), backward from the output while each has one input tensor."""
    tensor = model.outputs[0]
    while True:
        history = tensor._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        if len(node.input_tensors) != 1:  # none: the model's input
            return
        (tensor,) = node.input_tensors
        yield history.operation, tensor
