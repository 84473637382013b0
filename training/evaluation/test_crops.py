"""The crops and scales of photographs that make up a protocol's views."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from training.common.as_written import as_written
from training.data.decoding import cropping, image_decoding
from training.data.splits import FileSplit, RecordSplit
from training.data.streams import photographs
from training.evaluation.protocols import Protocol

# A batch of N images: their views, (N, V, H, W, C) for each scale, and their labels (N,).
Batch = tuple[tuple[np.ndarray, ...], np.ndarray]


def batches(
    split: FileSplit | RecordSplit, protocol: Protocol, size: int, batch_size: int
) -> Iterator[Batch]:
    """Yields all views of every photograph once, in the split's order; pixels 0..255.

    Args:
        split: The photographs.
        protocol: The protocol.
        size: Side of the squares that the net takes.
        batch_size: Views of one scale in a batch. Whole photographs, whose sizes differ, come
            one by one.
    """
    decode = photographs.decoder(
        lambda encoded, _: image_decoding.decode(encoded), (None, None, 3), tf.uint8
    )

    def see(image: tf.Tensor, label: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], tf.Tensor]:
        return views(image, protocol, size), label

    @as_written
    def seen() -> tf.data.Dataset:
        stream = photographs.in_order(split).map(decode, tf.data.AUTOTUNE)
        return stream.map(see, tf.data.AUTOTUNE)

    images = 1 if protocol.fully_convolutional else max(1, batch_size // protocol.views)
    yield from seen().batch(images).prefetch(1).as_numpy_iterator()


def views(image: tf.Tensor, protocol: Protocol, size: int = cropping.CROP) -> tuple[tf.Tensor, ...]:
    """Returns a protocol's views of one photograph.

    Args:
        image: (H, W, 3), any numeric type.
        protocol: The protocol.
        size: Side of the squares that the net takes; the shorter sides are meant for 224.

    Returns:
        For each shorter side float32 (V, h, w, 3): (1, size, size, 3) of the centre; of the corners
        top left, top right, bottom left, bottom right, then the centre; of the whole (1, h, w, 3)
        with min(h, w) the shorter side. The mirror images follow in the same order, if the
        protocol has them.
    """
    seen = []
    for of_224 in protocol.shorter_sides:
        side = of_224 * size / cropping.CROP
        if protocol.part == "whole":
            images = [scaled(image, side)]
        else:
            windows = corner_windows if protocol.part == "corners" else central_windows
            images = [cropping.cut(image, window, size) for window in windows(image, side, size)]
        stacked = tf.stack(images)  # (V, h, w, 3)
        seen.append(
            tf.concat((stacked, stacked[:, :, ::-1]), axis=0) if protocol.mirrored else stacked
        )
    return tuple(seen)


def central_windows(image: tf.Tensor, side: float, size: int) -> tuple[cropping.Window]:
    """The square in the middle of the photograph, scaled to the shorter side `side`."""
    return (cropping.central_window(tf.shape(image), side, size),)


def corner_windows(image: tf.Tensor, side: float, size: int) -> tuple[cropping.Window, ...]:
    """The squares in the corners of the scaled photograph, and then the one in the middle."""
    (centre,) = central_windows(image, side, size)
    scale, last_row, last_column = centre.scale, 2 * centre.top, 2 * centre.left
    corners = (
        cropping.Window(scale, top, left)
        for top in (tf.zeros_like(last_row), last_row)
        for left in (tf.zeros_like(last_column), last_column)
    )
    return (*corners, centre)


def scaled(image: tf.Tensor, side: float) -> tf.Tensor:
    """The whole photograph, its shorter side scaled (antialiased) to `side`, rounded: float32."""
    extent = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = round(side) / tf.reduce_min(extent)
    target = tf.cast(tf.round(extent * scale), tf.int32)
    resized = tf.image.resize(image, target, antialias=True)  # bilinear
    return tf.ensure_shape(resized, (None, None, image.shape[-1]))
