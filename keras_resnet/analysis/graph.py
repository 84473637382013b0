"""Going through a functional model's graph, nested models included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np

from keras_resnet.scan.scanned_blocks import ScannedBlocks

# Called with an operation, its inputs and what it gives; returns what is handed on.
Tap = Callable[[Any, tuple[Any, ...], Any], Any]

BATCH_SIZE = 128


def walk(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a functional model in order, those of nested models in their place."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from walk(layer)
        else:
            yield layer


def run(model: keras.Model, images: Any, tap: Tap) -> Any:
    """What `model` gives for a batch at inference; `tap` sees every operation, and may intervene.

    Operations of nested models are seen one by one, and then the nested model as one operation; so
    are those of a `ScannedBlocks`, the same operations for each of its blocks in turn.

    Raises:
        ValueError: If the model, or one nested in it, is not functional.
    """
    if not hasattr(model, "_run_through_graph"):
        raise ValueError(f"{model.name} is no functional model, so its layers' order is unknown.")

    def tapped(operation: Any) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if isinstance(operation, keras.Model):
                outputs = run(operation, args[0], tap)
            elif isinstance(operation, ScannedBlocks):
                outputs = _block_by_block(operation, args[0], tap)
            else:
                outputs = operation(*args, **kwargs)
            return tap(operation, args, outputs)

        return call

    return model._run_through_graph(images, tapped)


def _block_by_block(stage: ScannedBlocks, x: Any, tap: Tap) -> Any:
    variables = [variable for _, variable in stage.block.variables]
    for i in range(stage.count):
        values = [stack[i] for stack in stage.stacks]
        with keras.StatelessScope(list(zip(variables, values, strict=True))):
            x = run(stage.block.model, x, tap)
    return x


def classifier(model: keras.Model) -> keras.layers.Dense:
    """The dense layer that gives the class scores, behind which nothing is but a softmax.

    Raises:
        ValueError: If there is none.
    """
    last = list(model.layers)
    while last and isinstance(last[-1], keras.layers.Activation | keras.layers.Softmax):
        last.pop()
    if not last or type(last[-1]) is not keras.layers.Dense:
        raise ValueError(
            f"{model.name} does not end in a dense classifier: build it with include_top=True."
        )
    return last[-1]


def input_of(model: Any, layer: keras.layers.Layer) -> Any:
    """The Keras tensor that a layer of `model` is given there.

    `layer.input` is that of its first call, which may be another model's that shares the layer.
    """
    for nodes in model._nodes_by_depth.values():
        for node in nodes:
            if node.operation is layer:
                return node.input_tensors[0]
    raise ValueError(f"{model.name} does not call its layer {layer.name} itself.")


def batches(images: Any, batch_size: int = BATCH_SIZE) -> Iterator[np.ndarray]:
    """Batches (N, H, W, C) of an array, or of an iterable of batches.

    Args:
        images: An array or tensor (N, H, W, C); or batches of them: any iterable, a
            `keras.utils.PyDataset` or a `tf.data.Dataset`. Of batches that are tuples, as of
            (images, labels), the first item counts.
        batch_size: Images in a batch of an array.

    Raises:
        ValueError: If there are no images, or something else.
    """
    if hasattr(images, "shape"):
        given: Any = (images[i : i + batch_size] for i in range(0, len(images), batch_size))
    elif isinstance(images, keras.utils.PyDataset):
        given = (images[i] for i in range(len(images)))
    else:
        given = images
    none = True
    for batch in given:
        first = batch[0] if isinstance(batch, tuple | list) else batch
        array = keras.ops.convert_to_numpy(first)
        if array.ndim != 4:
            raise ValueError(f"Images come in batches (N, H, W, C); given shape {array.shape}.")
        if len(array):
            none = False
            yield array
    if none:
        raise ValueError("There are no images.")


def no_gradients() -> AbstractContextManager[Any]:
    """Inside, PyTorch keeps nothing for a backward pass; other backends do not anyway."""
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    context: AbstractContextManager[Any] = torch.no_grad()
    return context


def gradient(function: Callable[[list[Any]], Any], tensors: list[Any]) -> list[Any]:
    """The gradient of a scalar function of tensors, on the running backend.

    Raises:
        ValueError: If the backend computes none.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf  # type: ignore[import-untyped]

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
