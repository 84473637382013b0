"""The augmentation of a whole batch of images on its device, by drawn numbers, on any backend."""

from __future__ import annotations

from typing import Any

from keras import ops

from training.data.draws import BatchDraw, Draws
from training.data.mixing import MixDraw


def augmented(images: Any, labels: Any, draw: BatchDraw, draws: Draws) -> tuple[Any, Any]:
    """Returns a step's batch as the network sees it; mixed images have shares of classes as labels.

    Args:
        images: float32 (N, H, W, C), their mean subtracted.
        labels: int32 (N,).
        draw: The step's random numbers, of these images.
        draws: What they were drawn for.
    """
    if draws.padding or draws.mirrors:
        mirrored = draw.mirrored if draws.mirrors else None
        images = crop(images, draw.top, draw.left, mirrored, draws.padding)
    if draws.mixing.mixes:
        return mixed(images, labels, MixDraw(draw.mix_share, draw.mix_box), draws.mixing.classes)
    return images, labels


def crop(images: Any, top: Any, left: Any, mirrored: Any | None, padding: int) -> Any:
    """Pads by zeros, crops to the old size and mirrors, in one gather.

    Section 4.2 of the paper. Zero is the mean once that is subtracted.

    Args:
        images: (N, H, W, C).
        top: (N,) int32, 0..2 padding: the crop's first row in the padded image.
        left: (N,) int32: its first column.
        mirrored: (N,) bool, or `None` where no image is mirrored.
        padding: Pixels on each side.

    Returns:
        (N, H, W, C), of the same type.
    """
    n, height, width, channels = images.shape
    wide = width + 2 * padding
    rows = ops.expand_dims(top, 1) + ops.arange(height, dtype="int32")  # (N, H)
    columns = ops.expand_dims(ops.arange(width, dtype="int32"), 0)  # (1, W)
    if mirrored is not None:
        columns = ops.where(ops.expand_dims(mirrored, 1), width - 1 - columns, columns)
    columns = ops.expand_dims(left, 1) + columns  # (N, W)
    first = ops.arange(n, dtype="int32") * (height + 2 * padding)  # row of each image in them all
    places = (ops.expand_dims(first, 1) + rows)[:, :, None] * wide + columns[:, None, :]
    padded = ops.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    return ops.take(ops.reshape(padded, (-1, channels)), places, axis=0)  # (N, H, W, C)


def mixed(images: Any, labels: Any, draw: MixDraw, classes: int) -> tuple[Any, Any]:
    """Mixes each image with its neighbour: the first with the second, the third with the fourth.

    Neighbours are of the same replica, so that the batch does not depend on the replicas' number.

    Args:
        images: float32 (N, H, W, C); N is even.
        labels: int32 (N,).
        draw: The random numbers.
        classes: Number of classes K.

    Returns:
        The images, and the share of each class in them, float32 (N, K).

    Raises:
        ValueError: If N is odd.
    """
    n, height, width, _ = images.shape
    if n % 2:
        raise ValueError(
            "MixUp and CutMix mix images in pairs: batch_size must be even, and so must each "
            f"device's part of it; given {n} images."
        )
    top, left, bottom, right = (draw.box[:, i, None] for i in range(4))
    rows, columns = ((ops.arange(n, dtype="float32") + 0.5)[None] / n for n in (height, width))
    in_rows = ops.logical_and(rows >= top, rows < bottom)  # (N, H)
    in_columns = ops.logical_and(columns >= left, columns < right)  # (N, W)
    in_box = ops.logical_and(in_rows[:, :, None], in_columns[:, None, :])  # (N, H, W)
    own = ops.where(in_box, 0.0, draw.share[:, None, None])[..., None]  # (N, H, W, 1)
    images = own * images + (1 - own) * _neighbours(images)
    share = ops.mean(own, axis=(1, 2))  # (N, 1)
    of_class = ops.one_hot(labels, classes, dtype="float32")  # (N, K)
    return images, share * of_class + (1 - share) * _neighbours(of_class)


def _neighbours(values: Any) -> Any:
    """Returns (N, ...) with 0 and 1, 2 and 3, ... in each other's places."""
    pairs = ops.reshape(values, (-1, 2, *values.shape[1:]))
    return ops.reshape(ops.flip(pairs, axis=1), values.shape)
