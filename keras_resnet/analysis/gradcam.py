"""Where in an image a class is seen: Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391)."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np

from keras_resnet.analysis import graph
from keras_resnet.blocks import channel_axis


class ClassActivation(NamedTuple):
    """Maps of where a class is seen."""

    maps: np.ndarray  # (N, h, w) from 0 to 1, of the feature map's size
    classes: np.ndarray  # (N,) whose they are


def grad_cam(
    model: keras.Model, images: Any, classes: Any = None, layer: str | None = None
) -> ClassActivation:
    """The channels of a feature map, each times the mean gradient of a class's score, added up.

    The score is that before the softmax; negative sums count as zero. Each map is divided by its
    maximum; where nothing speaks for the class it is zero. Of the last map, followed by global
    average pooling and one dense layer, this is the class activation map of Zhou et al. 2016
    (arXiv 1512.04150).

    Args:
        model: A functional model with a dense classifier, of logits or probabilities.
        images: One batch as the model takes it, (N, H, W, C).
        classes: The class of each image, (N,). Default: the most probable.
        layer: Name of the layer whose map it is. Default: the one before the global pooling.

    Raises:
        ValueError: If the model has no such classifier or layer, or the classes do not fit.
    """
    head, target = graph.classifier(model), _target(model, layer)
    x = keras.ops.convert_to_tensor(images, model.inputs[0].dtype)

    def look(added: Any) -> tuple[Any, Any]:
        """The feature map and the class scores, with `added` to the map."""
        seen: dict[str, Any] = {}

        def tap(operation: Any, inputs: tuple[Any, ...], outputs: Any) -> Any:
            if operation is target:
                seen["map"] = outputs
                return outputs + added
            if operation is head:
                seen["scores"] = keras.ops.matmul(inputs[0], head.kernel)  # a bias has no gradient
            return outputs

        graph.run(model, x, tap)
        return seen["map"], seen["scores"]

    with graph.no_gradients():
        features, scores = look(0.0)
    if classes is None:
        bias = keras.ops.convert_to_numpy(head.bias) if head.use_bias else 0.0
        classes = (keras.ops.convert_to_numpy(scores) + bias).argmax(axis=1)
    classes = np.asarray(classes)
    if classes.shape != (len(x),) or not ((classes >= 0) & (classes < head.units)).all():
        raise ValueError(
            f"classes are {len(x)} whole numbers from 0 to {head.units - 1}; given {classes!r}."
        )
    chosen = keras.ops.one_hot(classes, head.units, dtype=scores.dtype)
    (gradients,) = graph.gradient(
        lambda added: keras.ops.sum(look(added[0])[1] * chosen),
        [keras.ops.zeros_like(features)],
    )
    # (N, h, w, C)
    a, g = (np.moveaxis(_float64(one), channel_axis(), -1) for one in (features, gradients))
    maps = np.maximum(np.einsum("nhwc,nc->nhw", a, g.mean(axis=(1, 2))), 0)
    most = maps.max(axis=(1, 2), keepdims=True)
    return ClassActivation(np.divide(maps, most, out=np.zeros_like(maps), where=most > 0), classes)


def _target(model: Any, name: str | None) -> Any:
    if name is None:
        for layer in model.layers:
            if isinstance(layer, keras.layers.GlobalAveragePooling2D):
                return graph.input_of(model, layer)._keras_history.operation
        raise ValueError(f"{model.name} has no global average pooling: name the layer to look at.")
    for layer in graph.walk(model):
        if layer.name == name and len(layer.output.shape) == 4:
            return layer
    raise ValueError(f"{model.name} has no layer {name!r} that gives a feature map.")


def _float64(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float64)
