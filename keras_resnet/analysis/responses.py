"""How strongly each layer responds: Fig. 7 of the paper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from keras_resnet.analysis import graph
from keras_resnet.scan.scanned_blocks import ScannedBlocks


class Responses(NamedTuple):
    """Standard deviation of each layer's response."""

    names: tuple[str, ...]  # of the 3x3 convolutions, in layer order
    stds: np.ndarray  # (layers,) float64


def layer_responses(
    model: keras.Model, images: Any, batch_size: int = graph.BATCH_SIZE
) -> Responses:
    """The standard deviation of the response of every 3x3 layer: Fig. 7, top; bottom: sorted.

    A layer's response is what its batch norm gives, before the non-linearity or the addition, at
    inference. Where a convolution has no batch norm, as in a folded net, it is the convolution's
    own output, which is the same. The deviation is over all images, positions and channels, its
    moments merged batch by batch in float64 (Chan, Golub and LeVeque 1983). 1x1 convolutions do
    not count, as in the paper, nor does the 7x7 of the ImageNet nets.

    Args:
        model: A functional model; nested ones are gone through.
        images: As the model takes them: an array (N, H, W, C), or any iterable of batches, such as
            a `tf.data.Dataset`; of tuples such as (images, labels) the first item counts.
        batch_size: Of an array. Memory is that of one batch.

    Returns:
        Names and deviations. `np.sort(stds)[::-1]` is the lower half of the figure.

    Raises:
        ValueError: If the model has no 3x3 convolution or one with a non-linearity inside, has
            layers within layers, is not functional, or there are no images.
    """
    responding = list(_responding(model))
    if not responding:
        raise ValueError(f"{model.name} has no 3x3 convolution.")
    moments = {name: (0, 0.0, 0.0) for _, name in responding}
    names_of: dict[int, list[str]] = {}
    for layer, name in responding:
        names_of.setdefault(layer, []).append(name)
    coming: dict[int, Iterator[str]] = {}  # names of what a layer, by its id, gives next

    def tap(operation: Any, inputs: tuple[Any, ...], outputs: Any) -> Any:
        if id(operation) in coming:
            name = next(coming[id(operation)])
            moments[name] = _merged(moments[name], keras.ops.convert_to_numpy(outputs))
        return outputs

    with graph.no_gradients():
        for batch in graph.batches(images, batch_size):
            coming = {layer: iter(names) for layer, names in names_of.items()}
            graph.run(model, keras.ops.convert_to_tensor(batch, model.inputs[0].dtype), tap)
    stds = [np.sqrt(squares / count) for count, _, squares in moments.values()]
    return Responses(tuple(moments), np.array(stds))


def _responding(model: Any) -> Iterator[tuple[int, str]]:
    """Ids of the layers whose outputs are responses and names of their convolutions, in order.

    The layers of a `ScannedBlocks` come again for each of its blocks, with the block's names.
    """
    calls = [node for nodes in model._nodes_by_depth.values() for node in nodes]
    users: dict[int, list[Any]] = {}
    makers: dict[int, Any] = {}  # of a convolution's output, by the id of the convolution
    for node in calls:
        for x in node.input_tensors:
            users.setdefault(id(x), []).append(node.operation)
        makers[id(node.operation)] = node.outputs[0]
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _responding(layer)
        elif isinstance(layer, ScannedBlocks):
            of_block = list(_responding(layer.block.model))
            for block in layer.block_names():
                for responding, name in of_block:
                    yield responding, name.replace(layer.block.model.name, block)
        elif isinstance(layer, layers.Conv2D) and tuple(layer.kernel_size) == (3, 3):
            if layer.activation is not keras.activations.linear:
                raise ValueError(
                    f"{layer.name} has the activation {layer.activation.__name__!r} inside, so that"
                    " its response before the non-linearity is not to be had."
                )
            behind = users.get(id(makers[id(layer)]), [])
            normed = len(behind) == 1 and isinstance(behind[0], layers.BatchNormalization)
            yield id(behind[0] if normed else layer), layer.name
        elif any(True for _ in layer._flatten_layers(include_self=False)):
            raise ValueError(f"{layer.name} has layers inside it, whose responses are not seen.")


def _merged(before: tuple[int, float, float], values: np.ndarray) -> tuple[int, float, float]:
    """(count, mean, sum of squared deviations) with further values."""
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
