"""Boxes as (..., 4) tensors y1, x1, y2, x2 in pixels: deltas, matching, sampling, suppression."""

from __future__ import annotations

from typing import Any

import keras
import keras_hub
import tensorflow as tf
from keras import ops

FORMAT = "yxyx"
DELTAS = "center_yxhw"  # of the centre, by the box's size, then log ratios of the sizes


def anchors(size: int, stride: int, sides: tuple[int, ...]) -> Any:
    """Returns squares of the given sides for each cell of a map: (cells * len(sides), 4).

    The squares of cell (i, j) are centred at (i, j) * stride, the centre of the cell's receptive
    field, because these convolutions pad alike on all sides.
    """
    level = stride.bit_length() - 1
    each = [
        keras_hub.layers.AnchorGenerator(
            FORMAT, level, level, num_scales=1, aspect_ratios=[1.0], anchor_size=side / stride
        )(ops.zeros((1, size, size, 3)))[f"P{level}"]
        for side in sides
    ]
    return ops.reshape(ops.stack(each, axis=1), (-1, 4))


def encode(bases: Any, boxes: Any, variance: tuple[float, ...]) -> Any:
    """Returns the deltas from `bases` (..., 4) to `boxes` (..., 4), divided by `variance`."""
    return keras.utils.bounding_boxes.encode_box_to_deltas(
        bases,
        boxes,
        anchor_format=FORMAT,
        box_format=FORMAT,
        encoding_format=DELTAS,
        variance=variance,
    )


def decode(bases: Any, deltas: Any, variance: tuple[float, ...], size: int) -> Any:
    """Applies `deltas` to `bases`, and clips the boxes to the image (size, size)."""
    boxes = keras.utils.bounding_boxes.decode_deltas_to_boxes(
        bases,
        # A box grows at most by 1000 / 16, as in Detectron, so that exp does not overflow.
        ops.concatenate([deltas[..., :2], ops.minimum(deltas[..., 2:], 4.1 / variance[2])], -1),
        anchor_format=FORMAT,
        box_format=FORMAT,
        encoded_format=DELTAS,
        variance=variance,
    )
    return ops.clip(boxes, 0.0, float(size))


def areas(boxes: Any) -> Any:
    """Returns the areas, (..., 4) -> (...); zero or less for the padding of a batch."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def overlaps(bases: Any, truth: Any) -> Any:
    """Returns intersection over union: (N, A, 4), (N, M, 4) -> (N, A, M); 0 for padding."""
    low = ops.maximum(bases[:, :, None, :2], truth[:, None, :, :2])
    high = ops.minimum(bases[:, :, None, 2:], truth[:, None, :, 2:])
    shared = ops.prod(ops.maximum(high - low, 0.0), axis=-1)
    both = areas(bases)[:, :, None] + areas(truth)[:, None, :] - shared
    return ops.where(shared > 0, shared / ops.maximum(both, 1e-6), 0.0)


def match(found: Any, positive: float, negative: float, best: bool) -> tuple[Any, Any]:
    """Decides which boxes are objects, by their overlaps with true boxes (N, A, M).

    Args:
        found: What `overlaps` returned.
        positive: Boxes with at least this overlap with a true box are objects.
        negative: Boxes with less than this overlap with every true box are background.
        best: Whether the best box of each true box is an object too, however small the overlap.

    Returns:
        The index of the true box with the largest overlap, (N, A); and 1 for an object, 0 for
        background, -1 for neither, (N, A).
    """
    most = ops.max(found, axis=-1)
    kind = ops.where(most >= positive, 1, ops.where(most < negative, 0, -1))
    if best:
        champions = ops.logical_and(found >= ops.max(found, axis=1, keepdims=True), found > 0)
        kind = ops.where(ops.any(champions, axis=-1), 1, kind)
    return ops.argmax(found, axis=-1), kind


def sample(kind: Any, number: int, share: float) -> tuple[Any, Any]:
    """Draws `number` of (N, A) boxes: objects up to a share of them, the rest background.

    Returns:
        Indices (N, number), or (N, A) if A is smaller; and weights of the same shape, 0 where there
        were not enough boxes.
    """
    number = min(number, kind.shape[-1])
    noise = keras.random.uniform(ops.shape(kind))
    order = ops.argsort(-ops.where(kind == 1, 1.0 + noise, 0.0), axis=-1)
    rank = ops.argsort(order, axis=-1)
    chosen = ops.logical_and(kind == 1, rank < int(number * share))
    priority = ops.where(chosen, 2.0, ops.where(kind == 0, noise, -1.0))
    values, indices = ops.top_k(priority, number)
    return indices, ops.cast(values >= 0, "float32")


def take(x: Any, indices: Any) -> Any:
    """Takes rows by index: (N, A, ...) and (N, K) -> (N, K, ...)."""
    return tf.gather(x, indices, batch_dims=1)


def suppress(
    boxes: Any, scores: Any, number: int, overlap: float, least: float = 0.0
) -> tuple[Any, Any, Any, Any]:
    """Keeps the best boxes of each class (non-maximum suppression).

    Args:
        boxes: (N, A, classes, 4).
        scores: (N, A, classes).
        number: Boxes to keep in each image.
        overlap: Boxes are dropped whose IoU with a better one is larger.
        least: Boxes are dropped whose score is lower.

    Returns:
        Boxes (N, number, 4), scores (N, number), classes (N, number), padded with zeros, and the
        number of boxes in each image (N,).
    """
    kept = tf.image.combined_non_max_suppression(
        boxes, scores, number, number, overlap, least, clip_boxes=False
    )
    classes = ops.cast(kept.nmsed_classes, "int32")
    return kept.nmsed_boxes, kept.nmsed_scores, classes, kept.valid_detections
