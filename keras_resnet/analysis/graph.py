"""The graph of a model as `predict` runs it, models nested in it included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from keras_resnet.scan.scanned_blocks import ScannedBlocks
from keras_resnet.scan.visitor import is_loop

# Called with an operation, its arguments and its outputs; returns the outputs to continue with.
Tap = Callable[[Any, tuple[Any, ...], Any], Any]
# Called with an operation, its arguments and its keyword arguments; returns the outputs.
Call = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]

BATCH_SIZE = 128
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


def at_inference(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls an operation as `predict` does, which overrules a `training=True` in the graph."""
    if isinstance(operation, layers.Layer):
        kwargs = {**kwargs, "training": False}
    return operation(*args, **kwargs)


def run(
    model: Any, images: Any, tap: Tap, call: Call = at_inference, block_by_block: bool = True
) -> Any:
    """Runs a batch through a model, operation by operation.

    Args:
        model: A functional or a built `Sequential` model.
        images: A tensor (N, H, W, C).
        tap: Sees every operation, and may change its outputs. It sees the operations of a nested
            model first, and then the nested model as one operation.
        call: Executes an operation.
        block_by_block: Whether the tap sees the operations of `ScannedBlocks` too, for each block.

    Returns:
        The model's outputs.

    Raises:
        ValueError: If the order of the model's layers is unknown.
    """
    graph = functional(model)

    def tapped(operation: Any) -> Callable[..., Any]:
        def run_one(*args: Any, **kwargs: Any) -> Any:
            if is_graph(operation):
                outputs = run(operation, args[0], tap, call, block_by_block)
            elif block_by_block and is_loop(operation):
                outputs = _block_by_block(operation, args[0], tap)
            else:
                outputs = call(operation, args, kwargs)
            return tap(operation, args, outputs)

        return run_one

    given = keras.tree.flatten(images)
    if not isinstance(given[0], keras.KerasTensor):
        named = keras.tree.pack_sequence_as(graph.input, given)  # a model may take a dict
        given = keras.tree.flatten(graph._standardize_inputs(named))
    inputs = [
        tap(x._keras_history.operation, (), tensor)
        for x, tensor in zip(graph.inputs, given, strict=True)
    ]
    return graph._run_through_graph(inputs, tapped)


def _block_by_block(scanned: ScannedBlocks, x: Any, tap: Tap) -> Any:
    variables = [variable for _, variable in scanned.block.variables]
    for i in range(scanned.count):
        values = [stack[i] for stack in scanned.stacks]
        with keras.StatelessScope(list(zip(variables, values, strict=True))):
            x = run(scanned.block.model, x, tap)
    return x


def images_of(model: Any, images: Any) -> Any:
    """One batch of images as the tensor that the model takes.

    Raises:
        ValueError: If the model takes more than one tensor.
    """
    return keras.ops.convert_to_tensor(images, input_tensor(model).dtype)


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


def batches(images: Any, batch_size: int = BATCH_SIZE) -> Iterator[np.ndarray]:
    """Yields batches (N, H, W, C) of an array, or of an iterable of batches.

    Args:
        images: An array or tensor (N, H, W, C); or batches of them: any iterable, a
            `keras.utils.PyDataset` or a `tf.data.Dataset`. From batches that are tuples, such as
            (images, labels), the first item is taken.
        batch_size: Number of images in a batch of an array.

    Raises:
        ValueError: If there are no images, or an item is no batch of images.
    """
    if hasattr(images, "shape"):
        given: Any = (images[i : i + batch_size] for i in range(0, len(images), batch_size))
    elif isinstance(images, keras.utils.PyDataset):
        given = (images[i] for i in range(len(images)))
    else:
        given = images
    empty = True
    for batch in given:
        first = batch[0] if isinstance(batch, tuple | list) else batch
        array = keras.ops.convert_to_numpy(first)
        if array.ndim != 4:
            raise ValueError(f"Images come in batches (N, H, W, C); given shape {array.shape}.")
        if len(array):
            empty = False
            yield array
    if empty:
        raise ValueError("There are no images.")


def no_gradients() -> AbstractContextManager[Any]:
    """A context in which PyTorch keeps nothing for a backward pass; other backends never do."""
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    context: AbstractContextManager[Any] = torch.no_grad()
    return context


def gradient(function: Callable[[list[Any]], Any], tensors: list[Any]) -> list[Any]:
    """The gradient of a scalar function of tensors, on the running backend.

    Raises:
        ValueError: If the backend computes no gradients.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(tensors)
        return list(tape.gradient(value, tensors, unconnected_gradients="zero"))
    if backend == "jax":
        import jax

        return list(jax.grad(function)(tensors))
    if backend == "torch":
        import torch

        with torch.enable_grad():
            leaves = [tensor.detach().clone().requires_grad_() for tensor in tensors]
            return list(torch.autograd.grad(function(leaves), leaves))
    raise ValueError(f"Gradients need TensorFlow, JAX or PyTorch; the backend is {backend!r}.")
