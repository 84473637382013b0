"""RandAugment: some operations of one strength, drawn for each photograph.

Cubuk et al. 2020, arXiv 1909.13719. The operations' ranges are those of its AutoAugment (arXiv
1805.09501, table 6) in the units that timm and torchvision take, whose scale is 0 to 10 too.
Keras's layer of this name rotates by up to 180 degrees at half its strength, computes all of its
operations for each image, and draws from a state of its own: so its operations stand here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601
FILL = 128.0  # of the pixels that a moved picture leaves free

Operation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # of (image, signed strength in [-1, 1])


def randaugment(
    image: tf.Tensor, numbers: tf.Tensor, negative: tf.Tensor, magnitude: float
) -> tf.Tensor:
    """Applies operations of `OPERATIONS` one after the other.

    Args:
        image: float32 (H, W, 3), 0..255.
        numbers: int32 (layers,): which ones.
        negative: bool (layers,): whether each turns, moves or dims the other way.
        magnitude: Strength of all of them, 0 to 10.

    Returns:
        float32 (H, W, 3), 0..255.
    """
    for number, other_way in zip(tf.unstack(numbers), tf.unstack(negative), strict=True):
        strength = tf.where(other_way, -1.0, 1.0) * (magnitude / 10)
        before = image
        branches = [
            lambda operation=operation, image=before, strength=strength: operation(image, strength)
            for operation in OPERATIONS
        ]
        image = tf.clip_by_value(tf.switch_case(number, branches), 0.0, 255.0)
        image = tf.ensure_shape(image, before.shape)
    return image


def moved(image: tf.Tensor, matrix: tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]) -> tf.Tensor:
    """Returns the image under an affine map about its centre, interpolated bilinearly.

    Args:
        image: float32 (H, W, C).
        matrix: ((a, b, c), (d, e, f)): the output's (x, y) is read at (ax + by + c, dx + ey + f).
    """
    height, width = (tf.cast(extent, tf.float32) for extent in tf.unstack(tf.shape(image)[:2]))
    (a, b, c), (d, e, f) = ((tf.cast(number, tf.float32) for number in row) for row in matrix)
    x, y = (width - 1) / 2, (height - 1) / 2
    transform = tf.stack((a, b, c + x - a * x - b * y, d, e, f + y - d * x - e * y, 0.0, 0.0))
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=transform[tf.newaxis],
        output_shape=tf.shape(image)[:2],
        fill_value=FILL,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )[0]


def shear_x(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return moved(image, ((1, 0.3 * strength, 0), (0, 1, 0)))


def shear_y(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return moved(image, ((1, 0, 0), (0.3 * strength, 1, 0)))


def translate_x(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    width = tf.cast(tf.shape(image)[1], tf.float32)
    return moved(image, ((1, 0, 150 / 331 * width * strength), (0, 1, 0)))


def translate_y(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    height = tf.cast(tf.shape(image)[0], tf.float32)
    return moved(image, ((1, 0, 0), (0, 1, 150 / 331 * height * strength)))


def rotate(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    angle = math.radians(30) * strength
    sine, cosine = tf.sin(angle), tf.cos(angle)
    return moved(image, ((cosine, -sine, 0), (sine, cosine, 0)))


def _away_from(plain: tf.Tensor, image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """The image, up to 0.9 nearer to a plain one or farther from it."""
    return plain + (1 + 0.9 * strength) * (image - plain)


def _grey(image: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(image * GREY, axis=-1, keepdims=True)


def brightness(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _away_from(tf.zeros_like(image), image, strength)


def colour(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _away_from(_grey(image), image, strength)


def contrast(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return _away_from(tf.reduce_mean(_grey(image)), image, strength)


def sharpness(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    kernel = tf.constant([[1, 1, 1], [1, 5, 1], [1, 1, 1]], tf.float32) / 13  # Pillow's SMOOTH
    kernel = tf.tile(kernel[:, :, tf.newaxis, tf.newaxis], (1, 1, 3, 1))
    inner = tf.nn.depthwise_conv2d(image[tf.newaxis], kernel, (1, 1, 1, 1), "VALID")[0]
    rim = tf.pad(tf.ones_like(inner), ((1, 1), (1, 1), (0, 0))) == 0
    smooth = tf.where(rim, image, tf.pad(inner, ((1, 1), (1, 1), (0, 0))))
    return _away_from(smooth, image, strength)


def posterize(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    dropped = tf.cast(tf.round(4 * tf.abs(strength)), tf.int32)  # of eight bits
    step = tf.cast(tf.bitwise.left_shift(1, dropped), tf.float32)
    return tf.floor(image / step) * step


def solarize(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return tf.where(image < 256 * (1 - tf.abs(strength)), image, 255 - image)


def autocontrast(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    low, high = (reduce(image, axis=(0, 1)) for reduce in (tf.reduce_min, tf.reduce_max))
    return tf.where(high > low, (image - low) * tf.math.divide_no_nan(255.0, high - low), image)


def equalize(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Spreads each channel's values so that all are as frequent, as Pillow does."""

    def one(channel: tf.Tensor) -> tf.Tensor:
        values = tf.cast(channel, tf.int32)
        counts = tf.math.bincount(tf.reshape(values, (-1,)), minlength=256, maxlength=256)
        highest = tf.gather(counts, tf.reduce_max(values))
        step = (tf.reduce_sum(counts) - highest) // 255
        table = (tf.cumsum(counts, exclusive=True) + step // 2) // tf.maximum(step, 1)
        spread = tf.gather(tf.cast(tf.minimum(table, 255), tf.float32), values)
        return tf.where(step > 0, spread, channel)

    return tf.stack([one(channel) for channel in tf.unstack(image, axis=-1)], axis=-1)


def identity(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    return image


OPERATIONS: tuple[Operation, ...] = (
    identity,
    autocontrast,
    equalize,
    rotate,
    solarize,
    colour,
    posterize,
    contrast,
    brightness,
    sharpness,
    shear_x,
    shear_y,
    translate_x,
    translate_y,
)
