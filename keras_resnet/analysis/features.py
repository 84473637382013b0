"""What a net sees as alike: its pooled features, and the nearest among them."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np

from keras_resnet.analysis import graph

QUERIES_AT_ONCE = 256


class Neighbours(NamedTuple):
    """The nearest of some vectors, most similar first."""

    indices: np.ndarray  # (queries, k)
    similarities: np.ndarray  # (queries, k) cosine of the angle, -1 to 1


def features(model: keras.Model, images: Any, batch_size: int = graph.BATCH_SIZE) -> np.ndarray:
    """What the classifier sees of each image, the output of `avg_pool`: float32 (N, D).

    Args:
        model: A functional model with a dense classifier.
        images: As of `layer_responses`.
        batch_size: Of an array.

    Raises:
        ValueError: If the model has no such classifier, or there are no images.
    """
    seen = graph.input_of(model, graph.classifier(model))
    body = keras.Model(model.inputs[0], seen, name=model.name)
    found = [body.predict_on_batch(batch) for batch in graph.batches(images, batch_size)]
    return np.concatenate(found).astype(np.float32)


def nearest(queries: np.ndarray, gallery: np.ndarray, k: int = 5) -> Neighbours:
    """The `k` vectors of `gallery` at the smallest angles to each query.

    A zero vector is as far from everything as a right angle. Of equally similar ones the first in
    the gallery comes first.

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
    if not 1 <= k <= len(gallery):
        raise ValueError(f"k is from 1 to the gallery's {len(gallery)}; given {k}.")
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
