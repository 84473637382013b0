"""The strength of each layer's response (Fig. 7 of the paper)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from keras_resnet import graph
from keras_resnet.analysis import batches, execution
from keras_resnet.scan.visitor import is_loop


class Responses(NamedTuple):
    """Standard deviation of each layer's response."""

    names: tuple[str, ...]  # of the 3x3 convolutions, in layer order
    stds: np.ndarray  # (layers,) float64


def layer_responses(
    model: keras.Model, images: Any, batch_size: int = batches.BATCH_SIZE
) -> Responses:
    """The standard deviation of the response of every 3x3 layer: the upper half of Fig. 7.

    A layer's response is the output of its batch norm, before the non-linearity or the addition,
    at inference: random layers such as `RandomFlip` are the identity. Where a convolution has no
    batch norm, as in a folded net, its own output is the response. The deviation is over all
    images, positions and channels; its moments are merged batch by batch in float64 (Chan, Golub
    and LeVeque 1983). As in the paper, 1x1 convolutions do not count; nor does the 7x7 convolution
    of the ImageNet nets.

    Args:
        model: A functional or `Sequential` model, nested or not.
        images: As the model takes them: an array (N, H, W, C), or any iterable of batches, such as
            a `tf.data.Dataset`; from tuples such as (images, labels) the first item is taken.
        batch_size: Number of images in a batch of an array, which bounds the memory.

    Returns:
        Names and deviations. `np.sort(stds)[::-1]` is the lower half of the figure.

    Raises:
        ValueError: If the model has no 3x3 convolution, applies one more than once, has one with a
            non-linearity or one hidden inside a layer, or if there are no images.
    """
    responding = list(_responding(graph.functional(model)))
    if not responding:
        raise ValueError(f"{model.name} has no 3x3 convolution.")
    moments = {name: (0, 0.0, 0.0) for _, name in responding}
    names_of: dict[int, list[str]] = {}
    for layer, name in responding:
        names_of.setdefault(layer, []).append(name)
    coming: dict[int, Iterator[str]] = {}  # by a layer's id: the names of its next outputs

    def tap(operation: Any, inputs: tuple[Any, ...], outputs: Any) -> Any:
        if id(operation) in coming:
            name = next(coming[id(operation)], None)
            if name is None:
                raise ValueError(f"{model.name} applies {operation.name} more than once.")
            moments[name] = _merged(moments[name], keras.ops.convert_to_numpy(outputs))
        return outputs

    with execution.no_gradients():
        for batch in batches.batches(images, batch_size):
            coming = {layer: iter(names) for layer, names in names_of.items()}
            execution.run(model, batches.images_of(model, batch), tap)
    stds = [np.sqrt(squares / count) for count, _, squares in moments.values()]
    return Responses(tuple(moments), np.array(stds))


def _responding(model: Any) -> Iterator[tuple[int, str]]:
    """Yields ids of the layers whose outputs are responses, with names of their convolutions.

    The layers of `ScannedBlocks` are repeated for each of its blocks, with the blocks' names.
    """
    users: dict[int, list[Any]] = {}
    made: dict[int, Any] = {}  # by an operation's id: its output
    for node in graph.calls(model):
        for x in node.input_tensors:
            users.setdefault(id(x), []).append(node.operation)
        made[id(node.operation)] = node.outputs[0]
    for layer in model.layers:
        if graph.is_graph(layer):
            yield from _responding(graph.functional(layer))
        elif is_loop(layer):
            of_block = list(_responding(layer.block.model))
            for block in layer.block_names():
                for responding, name in of_block:
                    yield responding, name.replace(layer.block.model.name, block)
        elif _is_3x3(layer):
            if layer.activation is not keras.activations.linear:
                raise ValueError(
                    f"{layer.name} has the activation {layer.activation.__name__!r} inside, so that"
                    " its response before the non-linearity cannot be had."
                )
            behind = users.get(id(made[id(layer)]), [])
            normed = len(behind) == 1 and isinstance(behind[0], layers.BatchNormalization)
            yield id(behind[0] if normed else layer), layer.name
        elif any(_is_3x3(inner) for inner in graph.layers_inside(layer)):
            raise ValueError(
                f"{layer.name} ({type(layer).__name__}) has convolutions inside it, whose "
                "responses cannot be seen."
            )


def _is_3x3(layer: Any) -> bool:
    return isinstance(layer, layers.Conv2D) and tuple(layer.kernel_size) == (3, 3)


def _merged(before: tuple[int, float, float], values: np.ndarray) -> tuple[int, float, float]:
    """Moments (count, mean, sum of squared deviations) with further values added."""
    count, mean, squares = before
    values = values.astype(np.float64)
    n, batch_mean = values.size, float(values.mean())
    values -= batch_mean
    batch_squares = float(np.vdot(values, values))
    total, apart = count + n, batch_mean - mean
    return (
        total,
        mean + apart * n / total,
        squares + batch_squares + apart**2 * count * n / total,
    )
