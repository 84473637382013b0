"""The norm of the loss's gradient at each layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_resnet import graph
from keras_resnet.analysis import batches, execution
from keras_resnet.scan.visitor import WrittenOut, is_loop, written_out


class GradientNorms(NamedTuple):
    """Euclidean norm of the loss's gradient for each layer's kernel."""

    names: tuple[str, ...]  # of the convolutions and the classifier, in layer order
    norms: np.ndarray  # (layers,) float64


def gradient_norms(model: keras.Model, images: Any, labels: Any) -> GradientNorms:
    """The gradient of one batch's mean cross-entropy, layer by layer; the model is not changed.

    Batch norm uses the batch's statistics, as in a training step. Random layers, such as
    `RandomFlip` and `Dropout`, are the identity, so that two calls agree. Weight decay is left out.

    Args:
        model: A functional or `Sequential` model, nested or not, with a dense classifier of logits
            or probabilities.
        images: One batch as the model takes it, (N, H, W, C).
        labels: Classes (N,), whole numbers.

    Raises:
        ValueError: If the model does not end in such a classifier or has no trainable kernel, if a
            layer hides a layer with a kernel, or if the labels do not fit.
    """
    head = graph.path_to_classifier(model)[-1].operation
    x = batches.images_of(model, images)
    labels = batches.class_numbers(labels, len(x), head.units)
    seen_layers = [one for one in _with_kernels(model) if one.variable("kernel").trainable]
    if not seen_layers:
        raise ValueError(f"{model.name} has no trainable kernel.")
    kernels = list({id(k): k for k in (one.variable("kernel") for one in seen_layers)}.values())

    def loss(values: list[Any]) -> Any:
        seen: dict[str, Any] = {}

        def tap(operation: Any, inputs: tuple[Any, ...], outputs: Any) -> Any:
            if operation is head:
                seen["features"] = inputs[0]
            return outputs

        given = list(zip(kernels, values, strict=True))
        with keras.StatelessScope(given):  # the scope keeps moving statistics from changing, too
            execution.run(model, x, tap, _batch_norm_in_training, block_by_block=False)
            scores = keras.ops.matmul(seen["features"], head.kernel)
            if head.use_bias:
                scores = scores + head.bias
        return keras.ops.mean(
            keras.ops.sparse_categorical_crossentropy(labels, scores, from_logits=True)
        )

    found = execution.gradient(loss, [kernel.value for kernel in kernels])
    arrays = {
        id(kernel): np.asarray(keras.ops.convert_to_numpy(one), np.float64)
        for kernel, one in zip(kernels, found, strict=True)
    }
    gradients = [arrays[id(one.variable("kernel"))] for one in seen_layers]
    norms = [
        np.linalg.norm(gradient if one.loop is None else gradient[one.block])
        for one, gradient in zip(seen_layers, gradients, strict=True)
    ]
    return GradientNorms(tuple(one.name for one in seen_layers), np.array(norms))


def _batch_norm_in_training(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls an operation as `predict` does, but batch norms as a training step does."""
    if isinstance(operation, keras.layers.BatchNormalization) or is_loop(operation):
        return operation(*args, **{**kwargs, "training": True})
    return execution.at_inference(operation, args, kwargs)


def _with_kernels(model: keras.Model) -> Iterator[WrittenOut]:
    """Yields the layers with a kernel in order, those of a loop for each of its blocks."""
    for one in written_out(model):
        if one.variable("kernel") is not None:
            yield one
        elif any(hasattr(inner, "kernel") for inner in graph.layers_inside(one.layer)):
            raise ValueError(
                f"{one.name} ({type(one.layer).__name__}) has layers inside it, whose gradients "
                "gradient_norms cannot name."
            )
