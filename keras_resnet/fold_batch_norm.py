"""Folds batch norms into the convolutions before them: the same outputs in fewer operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_resnet import graph
from keras_resnet.scan.visitor import is_loop

# The last axis of their kernels is the outputs', so that a scale per output multiplies the kernel.
FOLDABLE = (layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.Dense)


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """A copy of `model` for inference, every batch norm folded into the layer before it.

    A batch norm of gamma, beta, moving mean and moving variance computes
    `bn(conv(x)) = (conv(x) - mean) * s + beta` with `s = gamma / sqrt(variance + epsilon)`. That is
    the convolution whose kernel is multiplied by s, with the bias `beta + (bias - mean) * s`.

    Args:
        model: A functional or sequential model, with or without nested ones: any network of this
            package, truncated, fine-tuned, or built upon an `input_tensor`. It stays as it is.

    Returns:
        A functional model for inference with the same inputs, outputs and layer names, without
        batch norm. It is not compiled.

    Raises:
        ValueError: If a batch norm cannot be folded; the message says which, and why.
    """
    obstacles = list(_obstacles(model, model.name))
    if obstacles:
        raise ValueError(f"{model.name} cannot be folded: {'; '.join(obstacles)}.")
    return _folded(model)


def _obstacles(model: Any, where: str) -> Iterator[str]:
    """Why batch norms of `model`, or of the models nested in it, cannot be folded."""
    if not graph.is_graph(model):
        yield f"{where} is neither functional nor a built Sequential model: its graph is unknown"
        return
    uses, makers = _uses(model), _makers(model)
    calls = Counter(id(node.operation) for node in graph.calls(model))
    for layer in graph.functional(model).layers:
        if isinstance(layer, keras.Model):
            yield from _obstacles(layer, f"{where}/{layer.name}")
        elif isinstance(layer, layers.BatchNormalization):
            if reason := _obstacle(layer, graph.input_of(model, layer), uses, makers, calls):
                yield f"{layer.name} {reason}"
        elif is_loop(layer):
            yield (
                f"{layer.name} runs its blocks in a loop: build the net without scan=True and give "
                "it the weights by keras_resnet.copy_weights"
            )
        elif any(
            isinstance(inner, layers.BatchNormalization) for inner in graph.layers_inside(layer)
        ):
            yield f"{layer.name} has a batch norm inside it"


def _obstacle(
    bn: Any, x: Any, uses: Counter[int], makers: dict[int, Any], calls: Counter[int]
) -> str | None:
    """Why a batch norm of the tensor `x` cannot be folded, or `None`."""
    if calls[id(bn)] > 1:
        return "is called more than once"
    before = makers.get(id(x))
    if before is None:
        return "comes first, with no convolution before it"
    if not isinstance(before, FOLDABLE):
        return f"follows {before.name} ({type(before).__name__}), not a convolution"
    if calls[id(before)] > 1:
        return f"follows {before.name}, which is called more than once"
    if before.activation is not keras.activations.linear:
        return f"follows the activation {before.activation.__name__!r} of {before.name}"
    if uses[id(x)] > 1:
        return f"is not the only one to use the output of {before.name}"
    first = getattr(before, "data_format", "channels_last") == "channels_first"
    if bn.axis % len(x.shape) != (1 if first else len(x.shape) - 1):
        return f"does not normalise the channels of {before.name} (axis {bn.axis})"
    return None


def _folded(model: Any) -> keras.Model:
    makers = _makers(model)
    norms = {  # by the id of the convolution
        id(makers[id(node.input_tensors[0])]): node.operation
        for node in graph.calls(model)
        if isinstance(node.operation, layers.BatchNormalization)
    }
    originals: dict[int, Any] = {}  # by the id of the copy

    def copy(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return _folded(layer)
        if not isinstance(layer, layers.Layer) or isinstance(layer, layers.BatchNormalization):
            return layer  # operations have no weights; batch norms are left out below
        config = layer.get_config()
        if id(layer) in norms:
            config["use_bias"] = True
        copied = type(layer).from_config(config)
        originals[id(copied)] = layer
        return copied

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, layers.BatchNormalization):
            return args[0]
        outputs = layer(*args, **kwargs)
        original = originals.get(id(layer))
        if original is not None and original.weights:
            norm = norms.get(id(original))
            layer.set_weights(original.get_weights() if norm is None else _weights(original, norm))
        return outputs

    plain = graph.uncompiled(model)
    inputs = keras.tree.map_structure(_same_input, plain.input)
    return keras.models.clone_model(plain, inputs, clone_function=copy, call_function=call)


def _same_input(x: Any) -> Any:
    name = x._keras_history.operation.name  # clone_model would name it after the tensor
    return keras.Input(batch_shape=x.shape, dtype=x.dtype, name=name)


def _weights(before: Any, bn: Any) -> list[np.ndarray]:
    """Kernel and bias of `before` with `bn` folded in; computed in float64."""

    def values(variable: Any, default: float) -> np.ndarray:
        if variable is None:
            return np.full(bn.moving_mean.shape, default)
        return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)

    scale = values(bn.gamma, 1) / np.sqrt(values(bn.moving_variance, 1) + bn.epsilon)
    bias = values(before.bias, 0) if before.use_bias else 0.0
    kernel = values(before.kernel, 0) * scale  # (..., outputs) * (outputs,)
    bias = (bias - values(bn.moving_mean, 0)) * scale + values(bn.beta, 0)
    return [kernel.astype(np.float32), bias.astype(np.float32)]


def _uses(model: Any) -> Counter[int]:
    """Counts, by each tensor's id, how often it is an input of a call or an output of the model."""
    uses = Counter(id(x) for node in graph.calls(model) for x in node.input_tensors)
    uses.update(id(x) for x in graph.functional(model).outputs)
    return uses


def _makers(model: Any) -> dict[int, Any]:
    """The layer that computes each tensor, by the tensor's id; inputs are left out."""
    calls = [node for node in graph.calls(model) if not node.is_input]
    return {id(x): node.operation for node in calls for x in node.outputs}
