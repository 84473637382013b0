"""How strong a gradient reaches each layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_resnet.analysis import graph
from keras_resnet.scan.scanned_blocks import ScannedBlocks


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
    labels = np.asarray(labels)
    if labels.shape != (len(images),) or not (labels < head.units).all() or labels.min() < 0:
        raise ValueError(
            f"labels are {len(images)} classes from 0 to {head.units - 1}; given shape "
            f"{labels.shape}, from {labels.min(initial=0)} to {labels.max(initial=0)}."
        )
    kernels = [one for one in _kernels(model) if one[0].trainable]
    if not kernels:
        raise ValueError(f"{model.name} has no trainable kernel.")
    x = graph.images_of(model, images)

    def loss(values: list[Any]) -> Any:
        seen: dict[str, Any] = {}

        def tap(operation: Any, inputs: tuple[Any, ...], outputs: Any) -> Any:
            if operation is head:
                seen["features"] = inputs[0]
            return outputs

        given = [(kernel, value) for (kernel, _), value in zip(kernels, values, strict=True)]
        with keras.StatelessScope(given):  # in which moving statistics stay, too
            graph.run(model, x, tap, _batch_norm_in_training, block_by_block=False)
            scores = keras.ops.matmul(seen["features"], head.kernel)
            if head.use_bias:
                scores = scores + head.bias
        return keras.ops.mean(
            keras.ops.sparse_categorical_crossentropy(labels, scores, from_logits=True)
        )

    names: list[str] = []
    norms: list[float] = []
    found = graph.gradient(loss, [kernel.value for kernel, _ in kernels])
    for (_, of_kernel), gradient in zip(kernels, found, strict=True):
        array = np.asarray(keras.ops.convert_to_numpy(gradient), np.float64)
        names += of_kernel
        norms += np.linalg.norm(array.reshape(len(of_kernel), -1), axis=1).tolist()
    order = {name: place for place, name in enumerate(_layer_order(model))}
    places = np.argsort([order[name] for name in names])
    return GradientNorms(tuple(names[i] for i in places), np.array(norms)[places])


def _batch_norm_in_training(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls an operation as `predict` does, but batch norms as a training step does."""
    if isinstance(operation, keras.layers.BatchNormalization | ScannedBlocks):
        return operation(*args, **{**kwargs, "training": True})
    return graph.at_inference(operation, args, kwargs)


def _kernels(model: keras.Model) -> Iterator[tuple[Any, list[str]]]:
    """Yields each kernel with its layer's name; a scan's stacked kernels have several names."""
    for layer in graph.walk(model):
        if isinstance(layer, ScannedBlocks):
            named = zip(layer.block.variables, layer.stacks, strict=True)
            for (name, _), stack in named:
                if name.endswith("/kernel"):
                    ending = name.removesuffix("/kernel")
                    yield stack, [f"{block}_{ending}" for block in layer.block_names()]
        elif getattr(layer, "kernel", None) is not None:
            yield layer.kernel, [layer.name]
        elif any(hasattr(inner, "kernel") for inner in graph.layers_inside(layer)):
            raise ValueError(
                f"{layer.name} ({type(layer).__name__}) has layers inside it, whose gradients "
                "gradient_norms cannot name."
            )


def _layer_order(model: keras.Model) -> Iterator[str]:
    """Yields the layers' names from input to output, block by block in `ScannedBlocks`."""
    for layer in graph.walk(model):
        if isinstance(layer, ScannedBlocks):
            endings = [ending for ending, _ in layer.block.named_layers]
            yield from (f"{block}_{ending}" for block in layer.block_names() for ending in endings)
        else:
            yield layer.name
