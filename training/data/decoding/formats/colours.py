"""Transparent pictures over white, and coloured ones in grey."""

from __future__ import annotations

import tensorflow as tf

# ITU-R BT.601, as JPEG stores brightness: in 65536ths, as Pillow's convert("L") has them.
RED, GREEN, BLUE = 19595, 38470, 7471


def over_white(image: tf.Tensor) -> tf.Tensor:
    """The picture over white: uint8 (H, W, 3), or (H, W, 4) with alpha last -> (H, W, 3)."""
    if image.shape[-1] == 3:
        return image

    def blend() -> tf.Tensor:
        values = tf.cast(image, tf.int32)
        alpha = values[..., 3:]
        return tf.cast((values[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)

    flat = tf.cond(tf.shape(image)[-1] == 4, blend, lambda: image)
    return tf.ensure_shape(flat, (None, None, 3))


def grey(image: tf.Tensor) -> tf.Tensor:
    """The picture's brightness: uint8 (H, W, 3) -> (H, W, 1)."""
    values = tf.cast(image, tf.int32) * tf.constant((RED, GREEN, BLUE))
    return tf.cast((tf.reduce_sum(values, axis=-1, keepdims=True) + 2**15) // 2**16, tf.uint8)
