"""Grad-CAM, the places of an image that speak for a class (Selvaraju et al. 2017, 1610.02391)."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np

from keras_resnet import graph
from keras_resnet.analysis import batches, execution


class ClassActivation(NamedTuple):
    """Maps of the places that speak for a class."""

    maps: np.ndarray  # (N, h, w) from 0 to 1, of the feature map's size
    classes: np.ndarray  # (N,), the class of each map


def grad_cam(
    model: keras.Model, images: Any, classes: Any = None, layer: str | None = None
) -> ClassActivation:
    """The sum of a feature map's channels, each times the mean gradient of a class's score.

    The score is taken before the softmax; negative sums count as zero. Each map is divided by its
    maximum; where nothing speaks for the class it is zero. For the last map, followed by global
    average pooling and one dense layer, this is the class activation map of Zhou et al. 2016
    (arXiv 1512.04150). As in `predict`, random layers such as `RandomFlip` are the identity.

    Args:
        model: A functional or `Sequential` model, nested or not, with a dense classifier of logits
            or probabilities.
        images: One batch as the model takes it, (N, H, W, C).
        classes: The class of each image, (N,). Default: the most probable.
        layer: Name of the layer whose feature map is taken. Default: the layer before the last
            global average pooling.

    Raises:
        ValueError: If the model does not end in such a classifier, has no such layer, or the
            classes do not fit.
    """
    head = graph.path_to_classifier(model)[-1].operation
    target, data_format = _before_pooling(model) if layer is None else _named(model, layer)
    x = batches.images_of(model, images)
    seen: dict[str, Any] = {}

    def map_and_scores(added: Any) -> tuple[Any, Any]:
        """The feature map, and the class scores with `added` to the map."""
        seen.clear()

        def tap(operation: Any, inputs: tuple[Any, ...], outputs: Any) -> Any:
            if operation is head:
                seen["scores"] = keras.ops.matmul(inputs[0], head.kernel)  # a bias has no gradient
            if operation is not target:
                return outputs
            if "map" in seen:
                raise ValueError(f"{model.name} applies {target.name} more than once.")
            seen["map"] = outputs
            return outputs + added

        execution.run(model, x, tap)
        return seen["map"], seen["scores"]

    with execution.no_gradients():
        features, scores = map_and_scores(0.0)
    if classes is None:
        classes = _best(head, scores)
    classes = batches.class_numbers(classes, len(x), head.units)
    chosen = keras.ops.one_hot(classes, head.units, dtype=scores.dtype)
    (gradients,) = execution.gradient(
        lambda added: keras.ops.sum(map_and_scores(added[0])[1] * chosen),
        [keras.ops.zeros_like(features)],
    )
    a, g = _float64(features), _float64(gradients)  # (N, h, w, C)
    if data_format == "channels_first":
        a, g = np.moveaxis(a, 1, -1), np.moveaxis(g, 1, -1)
    maps = np.maximum(np.einsum("nhwc,nc->nhw", a, g.mean(axis=(1, 2))), 0)
    most = maps.max(axis=(1, 2), keepdims=True)
    return ClassActivation(np.divide(maps, most, out=np.zeros_like(maps), where=most > 0), classes)


def _best(head: keras.layers.Dense, scores: Any) -> np.ndarray:
    """The class of the highest score once the bias is added, (N,)."""
    bias = keras.ops.convert_to_numpy(head.bias) if head.use_bias else 0.0
    return (keras.ops.convert_to_numpy(scores) + bias).argmax(axis=1)


def _before_pooling(model: Any) -> tuple[Any, str]:
    """The operation before the last global average pooling, and the data format of its outputs."""
    poolings = [
        node
        for node in graph.nodes(model)
        if isinstance(node.operation, keras.layers.GlobalAveragePooling2D)
    ]
    if not poolings:
        raise ValueError(
            f"{model.name} has no GlobalAveragePooling2D: name the layer whose map to take."
        )
    last = poolings[-1]
    return last.input_tensors[0]._keras_history.operation, last.operation.data_format


def _named(model: Any, name: str) -> tuple[Any, str | None]:
    """The operation of that name, and the data format of its outputs.

    A ReLU has no data format of its own; it has that of the nearest convolution before it, or
    else of the first one behind it.
    """
    target = data_format = None
    for node in graph.nodes(model):
        # Zero padding may be option A's, which pads channels as another axis.
        padding = isinstance(node.operation, keras.layers.ZeroPadding2D)
        if not padding and (target is None or data_format is None):
            data_format = getattr(node.operation, "data_format", data_format)
        if target is None and node.operation.name == name and len(node.outputs[0].shape) == 4:
            target = node.operation
    if target is None:
        raise ValueError(f"{model.name} has no layer {name!r} that gives a feature map.")
    return target, data_format


def _float64(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float64)
