"""The graph of a functional or `Sequential` model: its calls, and where its classifier is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
from keras import layers

# Operations of keras.ops that turn scores into probabilities, by the name of their class.
PROBABILITIES = ("Softmax", "LogSoftmax", "Sigmoid")


class Step(NamedTuple):
    """One step on the way from the images to the classifier."""

    graph: Any  # a functional model
    operation: Any  # in it: the nested model with the next step, or the classifier


def is_graph(operation: Any) -> bool:
    """Whether an operation is a functional model, or a `Sequential` model that is built."""
    graph = operation._functional if isinstance(operation, keras.Sequential) else operation
    return hasattr(graph, "_nodes_by_depth")


def functional(model: Any) -> Any:
    """The functional model that holds a model's graph: `model` itself, or a Sequential's own.

    Raises:
        ValueError: If there is no such graph.
    """
    if is_graph(model):
        return model._functional if isinstance(model, keras.Sequential) else model
    if isinstance(model, keras.Sequential):
        raise ValueError(
            f"{model.name} is a Sequential model that is not built: begin it with a keras.Input, "
            "or call its build((None, height, width, channels))."
        )
    raise ValueError(
        f"{model.name} is a {type(model).__name__} and no functional or Sequential model, so the "
        "order of its layers is unknown: give the functional model inside it, or build the whole "
        "as keras.Model(inputs, outputs)."
    )


def uncompiled(model: Any) -> keras.Model:
    """A functional model of the same layers, inputs and outputs, which is not compiled."""
    graph = functional(model)
    return keras.Model(graph.input, graph.output, name=model.name)


def calls(model: Any) -> Iterator[Any]:
    """Yields the calls that make up a model's own graph, in order.

    A layer may have further calls: a truncated model shares its layers with the whole model.
    """
    for _, level in sorted(functional(model)._nodes_by_depth.items(), reverse=True):
        yield from level


def nodes(model: Any) -> Iterator[Any]:
    """Yields the calls of a model's graph in order; a nested model's calls precede its own."""
    for node in calls(model):
        if is_graph(node.operation):
            yield from nodes(node.operation)
        yield node


def input_tensor(model: Any) -> Any:
    """The symbolic tensor of the images.

    Raises:
        ValueError: If the model takes more than one tensor.
    """
    inputs = functional(model).inputs
    if len(inputs) != 1:
        raise ValueError(
            f"{model.name} takes {len(inputs)} tensors; the analysis needs a model that takes the "
            "images alone."
        )
    return inputs[0]


def path_to_classifier(model: Any) -> list[Step]:
    """The way to the dense layer of class scores, behind which only a softmax may stand.

    Returns:
        One step for each model that is nested around the layer; the last one's operation is the
        dense layer.

    Raises:
        ValueError: If the model ends in another layer.
    """
    graph = functional(model)
    if len(graph.outputs) != 1:
        raise ValueError(
            f"{model.name} has {len(graph.outputs)} outputs, so no one classifier: give "
            "keras.Model(inputs, output) of one of them."
        )
    node = _node(graph.outputs[0])
    while (
        isinstance(node.operation, layers.Activation | layers.Softmax)
        or type(node.operation).__name__ in PROBABILITIES
    ):
        node = _node(node.input_tensors[0])
    last = node.operation
    if is_graph(last):
        return [Step(graph, last), *path_to_classifier(last)]
    if type(last) is not layers.Dense:
        raise ValueError(
            f"{model.name} does not end in a dense classifier but in {last.name} "
            f"({type(last).__name__}): build it with include_top=True, or end it in a keras Dense "
            "layer."
        )
    if len(node.input_tensors[0].shape) != 2:
        raise ValueError(
            f"{model.name} classifies every position of a map: {last.name} takes "
            f"{node.input_tensors[0].shape}, and not one vector for each image."
        )
    return [Step(graph, last)]


def _node(tensor: Any) -> Any:
    """The call that computes a symbolic tensor."""
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


def input_of(model: Any, layer: keras.layers.Layer) -> Any:
    """The symbolic tensor that a layer of a functional `model` is given there.

    `layer.input` may belong to another model that shares the layer.

    Raises:
        ValueError: If the model does not call the layer itself.
    """
    for node in calls(model):
        if node.operation is layer:
            return node.input_tensors[0]
    raise ValueError(f"{model.name} does not call its layer {layer.name} itself.")


def layers_inside(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers that a layer, such as a wrapper or a subclassed model, keeps within itself."""
    return list(layer._flatten_layers(include_self=False))
