"""Crops a scaled photograph to a square, and decodes no more of a JPEG than that needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from training.data.decoding import image_decoding
from training.data.decoding.formats.fields import traced_once

CROP = 224  # pixels: the paper's crops (section 3.4)
TEST_SHORTER_SIDE = 256  # for crops of 224: Krizhevsky et al. 2012, section 2


class Window(NamedTuple):
    """A square to cut out of a photograph after scaling it."""

    scale: tf.Tensor  # of the photograph, float32; or (2,): of its height and its width
    top: tf.Tensor  # in pixels of the scaled photograph, float32
    left: tf.Tensor


def evaluated_shorter_side(size: int = CROP) -> float:
    """The shorter side of photographs whose central square is evaluated, in pixels: 256 for 224."""
    return TEST_SHORTER_SIDE * size / CROP


def central_window(shape: tf.Tensor, shorter_side: float, size: int = CROP) -> Window:
    """Returns the square in the middle of the photograph, scaled to that shorter side.

    Args:
        shape: (2,) or more: height and width of the photograph.
        shorter_side: Of the scaled photograph, in pixels.
        size: Side of the square.
    """
    extent = tf.cast(shape[:2], tf.float32)
    scale = shorter_side / tf.reduce_min(extent)
    place = (extent * scale - size) / 2
    return Window(scale, place[0], place[1])


@traced_once
def central(encoded: tf.Tensor, size: int = CROP) -> tf.Tensor:
    """Returns the central crop of an image file that tests see: float32 (size, size, 3), 0..255."""
    side = evaluated_shorter_side(size)
    return decode_cut(encoded, lambda shape: central_window(shape, side, size), size)


def cut(image: tf.Tensor, window: Window, size: int = CROP, kernel: str = "triangle") -> tf.Tensor:
    """Scales a photograph (antialiased) and cuts the window out, in one step.

    Args:
        image: (H, W, C), any numeric type.
        window: Where.
        size: Side of the square.
        kernel: Of the interpolation: `"triangle"` (bilinear) or `"keyscubic"` (bicubic).

    Returns:
        float32 (size, size, C).
    """
    scaled = tf.raw_ops.ScaleAndTranslate(
        images=image[tf.newaxis],
        size=(size, size),
        scale=tf.broadcast_to(window.scale, (2,)),
        translation=-tf.stack((window.top, window.left)),
        kernel_type=kernel,
        antialias=True,
    )
    return tf.ensure_shape(scaled[0], (size, size, image.shape[-1]))


def decode_cut(
    encoded: tf.Tensor,
    choose: Callable[[tf.Tensor], Window],
    size: int = CROP,
    channels: int = 3,
    kernel: str = "triangle",
    exported: bool = False,
) -> tf.Tensor:
    """Returns `cut` of the decoded photograph; decodes no more of a JPEG than that takes.

    Args:
        encoded: The bytes of an image file, a scalar string.
        choose: Returns the window, given the photograph's shape.
        size: Side of the square.
        channels: 3, or 1 for grey.
        kernel: Of the interpolation, as `cut` takes it.
        exported: Whether the graph must hold everything, since it leaves this process.

    Returns:
        float32 (size, size, channels), 0..255.
    """

    def from_jpeg() -> tf.Tensor:
        stored = tf.image.extract_jpeg_shape(encoded)[:2]
        turn = image_decoding.jpeg_orientation(encoded, exported)
        shape = image_decoding.displayed_shape(stored, turn)
        window = choose(shape)
        box = _source_box(shape, window, size)
        region = image_decoding.decode_jpeg_box(encoded, box, shape, turn, channels)
        top, left = tf.unstack(tf.cast(box[:2], tf.float32) * window.scale)
        return cut(region, Window(window.scale, window.top - top, window.left - left), size, kernel)

    def from_other() -> tf.Tensor:
        image = image_decoding.decode_other_than_jpeg(encoded, channels, exported)
        return cut(image, choose(tf.shape(image)), size, kernel)

    return tf.cond(tf.io.is_jpeg(encoded), from_jpeg, from_other)


def _source_box(shape: tf.Tensor, window: Window, size: int) -> tf.Tensor:
    """Returns top, left, height and width of the pixels that the window needs: (4,) int32."""
    extent = shape[:2]
    reach = 2 * tf.maximum(1.0, 1 / window.scale) + 1  # of the wider, cubic kernel, and rounding
    start = tf.stack((window.top, window.left)) / window.scale
    stop = start + size / window.scale
    first = tf.clip_by_value(tf.cast(tf.floor(start - reach), tf.int32), 0, extent - 1)
    last = tf.clip_by_value(tf.cast(tf.math.ceil(stop + reach), tf.int32), first + 1, extent)
    return tf.concat((first, last - first), axis=0)
