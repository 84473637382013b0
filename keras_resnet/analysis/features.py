"""The pooled features of images, and the nearest among them."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np

from keras_resnet import graph
from keras_resnet.analysis import batches
from keras_resnet.architectures import is_positive_integer

QUERIES_AT_ONCE = 256


class Neighbours(NamedTuple):
    """The nearest gallery vectors of each query, most similar first."""

    indices: np.ndarray  # (queries, k)
    similarities: np.ndarray  # (queries, k), the cosine of the angle, -1 to 1


def features(model: keras.Model, images: Any, batch_size: int = batches.BATCH_SIZE) -> np.ndarray:
    """The classifier's input for each image, which is the output of `avg_pool`: float32 (N, D).

    Args:
        model: A functional or `Sequential` model, nested or not, with a dense classifier.
        images: An array (N, H, W, C), or batches of images as `layer_responses` takes them.
        batch_size: Number of images in a batch of an array.

    Raises:
        ValueError: If the model does not end in such a classifier, or there are no images.
    """
    steps = graph.path_to_classifier(model)
    parts = [(graph.input_tensor(step.graph), graph.input_of(*step)) for step in steps]
    bodies = [keras.Model(x, y, name=model.name) for x, y in parts if x is not y]
    found = []
    for batch in batches.batches(images, batch_size):
        for body in bodies:
            batch = body.predict_on_batch(batch)
        found.append(batch)
    return np.concatenate(found).astype(np.float32)


def nearest(queries: np.ndarray, gallery: np.ndarray, k: int = 5) -> Neighbours:
    """The `k` vectors of `gallery` at the smallest angles to each query.

    The similarity to a zero vector is 0, that of a right angle. Equally similar vectors come in the
    gallery's order.

    Args:
        queries: (Q, D).
        gallery: (N, D).
        k: From 1 to N.

    Raises:
        ValueError: If the shapes or k do not fit.
    """
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"queries (Q, D) and gallery (N, D) have as many columns; given {queries.shape} and "
            f"{gallery.shape}."
        )
    if not (is_positive_integer(k) and k <= len(gallery)):
        raise ValueError(f"k is from 1 to the gallery's {len(gallery)}; given {k!r}.")
    directions = _directions(gallery)
    blocks = []
    for start in range(0, len(queries), QUERIES_AT_ONCE):  # never all pairs at once
        cosines = _directions(queries[start : start + QUERIES_AT_ONCE]) @ directions.T
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        blocks.append((order, np.take_along_axis(cosines, order, axis=1)))
    if not blocks:
        return Neighbours(np.zeros((0, k), int), np.zeros((0, k)))
    indices, similarities = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return Neighbours(indices, similarities)


def _directions(vectors: np.ndarray) -> np.ndarray:
    vectors = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)
