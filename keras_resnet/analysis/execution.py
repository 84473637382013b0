"""Runs a model as `predict` does, operation by operation; and gradients of what it computes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
from keras import layers

from keras_resnet import graph
from keras_resnet.scan.scanned_blocks import ScannedBlocks
from keras_resnet.scan.visitor import is_loop

# Called with an operation, its arguments and its outputs; returns the outputs to continue with.
Tap = Callable[[Any, tuple[Any, ...], Any], Any]
# Called with an operation, its arguments and its keyword arguments; returns the outputs.
Call = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]


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
    functional = graph.functional(model)

    def tapped(operation: Any) -> Callable[..., Any]:
        def run_one(*args: Any, **kwargs: Any) -> Any:
            if graph.is_graph(operation):
                outputs = run(operation, args[0], tap, call, block_by_block)
            elif block_by_block and is_loop(operation):
                outputs = _block_by_block(operation, args[0], tap)
            else:
                outputs = call(operation, args, kwargs)
            return tap(operation, args, outputs)

        return run_one

    given = keras.tree.flatten(images)
    if not isinstance(given[0], keras.KerasTensor):
        named = keras.tree.pack_sequence_as(functional.input, given)  # a model may take a dict
        given = keras.tree.flatten(functional._standardize_inputs(named))
    inputs = [
        tap(x._keras_history.operation, (), tensor)
        for x, tensor in zip(functional.inputs, given, strict=True)
    ]
    return functional._run_through_graph(inputs, tapped)


def _block_by_block(scanned: ScannedBlocks, x: Any, tap: Tap) -> Any:
    variables = [variable for _, variable in scanned.block.variables]
    for i in range(scanned.count):
        values = [stack[i] for stack in scanned.stacks]
        with keras.StatelessScope(list(zip(variables, values, strict=True))):
            x = run(scanned.block.model, x, tap)
    return x


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
