"""The parameters and multiply-adds of a built model."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers

from keras_resnet import graph
from keras_resnet.analysis import execution
from keras_resnet.scan.visitor import is_loop


def parameters(model: keras.Model) -> int:
    """The number of trainable parameters; batch norm's moving statistics are not trainable.

    Raises:
        ValueError: If the model is not built, and so has no parameters yet.
    """
    if not model.built:
        raise ValueError(f"{model.name} is not built: call it on a batch first.")
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of one image's forward pass, which Table 1 calls FLOPs.

    Convolutions and fully connected layers count, each as often as the model applies it; batch
    norm, activations, pooling and additions do not.

    Raises:
        ValueError: If the model's input size is not fixed, or a layer's kernel is of another kind.
    """
    return _multiply_adds(model, graph.functional(model).inputs)


def _multiply_adds(model: Any, inputs: Any) -> int:
    counts = []

    def count(operation: Any, args: tuple[Any, ...], outputs: Any) -> Any:
        if is_loop(operation):
            counts.append(operation.count * _multiply_adds(operation.block.model, args[0]))
        elif isinstance(operation, layers.Layer) and not graph.is_graph(operation):
            counts.append(_multiply_adds_of_layer(operation, outputs))
        return outputs

    shapes = [keras.KerasTensor(x.shape, x.dtype) for x in keras.tree.flatten(inputs)]
    execution.run(model, shapes, count, _shapes_only, block_by_block=False)
    return sum(counts)


def _shapes_only(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return operation.compute_output_spec(*args, **kwargs)


def _multiply_adds_of_layer(layer: Any, outputs: Any) -> int:
    for inner in [layer, *graph.layers_inside(layer)]:
        counted = inner is layer and type(layer) in (layers.Conv2D, layers.Dense)
        if hasattr(inner, "kernel") and not (counted and getattr(layer, "groups", 1) == 1):
            raise ValueError(
                f"multiply_adds counts ungrouped Conv2D and Dense layers; {inner.name} is a "
                f"{type(inner).__name__}" + ("." if inner is layer else f" inside {layer.name}.")
            )
    if not hasattr(layer, "kernel"):
        return 0
    _, *output = outputs.shape
    if None in output:
        raise ValueError(
            f"multiply_adds needs a model of fixed input size; {layer.name} gives {output}. "
            "Build it with input_shape=(height, width, channels)."
        )
    channels = layer.kernel.shape[-1]  # each number of a channel costs the channel's kernel once
    return int(math.prod(output) // channels * math.prod(layer.kernel.shape))
