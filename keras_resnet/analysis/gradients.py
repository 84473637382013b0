"""How strong a training signal reaches each layer."""

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
    """The gradient of the mean cross-entropy of one batch, layer by layer; `model` stays as it is.

    Batch norm uses the batch's statistics, as a training step does. Weight decay is no part of it.

    Args:
        model: A functional model with a dense classifier, of logits or probabilities.
        images: One batch as the model takes it, (N, H, W, C).
        labels: Classes (N,), whole numbers.

    Raises:
        ValueError: If the model has no such classifier or no trainable kernel, has layers within
            layers, or labels do not fit.
    """
    head = graph.classifier(model)
    labels = np.asarray(labels)
    if labels.shape != (len(images),) or not (labels < head.units).all() or labels.min() < 0:
        raise ValueError(
            f"labels are {len(images)} classes from 0 to {head.units - 1}; given shape "
            f"{labels.shape}, from {labels.min(initial=0)} to {labels.max(initial=0)}."
        )
    body = keras.Model(
        model.inputs[0], graph.input_of(model, head), name=model.name
    )  # the same layers
    kernels = [one for one in _kernels(model) if one[0].trainable]
    if not kernels:
        raise ValueError(f"{model.name} has no trainable kernel.")
    x = keras.ops.convert_to_tensor(images, model.inputs[0].dtype)
    fixed = [variable.value for variable in body.non_trainable_variables]

    def loss(values: list[Any]) -> Any:
        given = {id(kernel): value for (kernel, _), value in zip(kernels, values, strict=True)}
        trainable = [given.get(id(v), v.value) for v in body.trainable_variables]
        features, _ = body.stateless_call(trainable, fixed, x, training=True)
        scores = keras.ops.matmul(features, given.get(id(head.kernel), head.kernel.value))
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


def _kernels(model: keras.Model) -> Iterator[tuple[Any, list[str]]]:
    """Every kernel with its layer's name; the stacked kernels of a `ScannedBlocks` with several."""
    for layer in graph.walk(model):
        if isinstance(layer, ScannedBlocks):
            named = zip(layer.block.variables, layer.stacks, strict=True)
            for (name, _), stack in named:
                if name.endswith("/kernel"):
                    ending = name.removesuffix("/kernel")
                    yield stack, [f"{block}_{ending}" for block in layer.block_names()]
        elif getattr(layer, "kernel", None) is not None:
            yield layer.kernel, [layer.name]
        elif any(True for _ in layer._flatten_layers(include_self=False)):
            raise ValueError(f"{layer.name} has layers inside it, whose gradients are not seen.")


def _layer_order(model: keras.Model) -> Iterator[str]:
    """Names of the layers from input to output, block by block in a `ScannedBlocks`."""
    for layer in graph.walk(model):
        if isinstance(layer, ScannedBlocks):
            endings = [ending for ending, _ in layer.block.named_layers]
            yield from (f"{block}_{ending}" for block in layer.block_names() for ending in endings)
        else:
            yield layer.name
