"""PNG: whether it is transparent, and where its Exif data are."""

from __future__ import annotations

import tensorflow as tf

from training.data.decoding.formats.fields import at, big, contains, png_chunk, text

WITH_ALPHA = (4, 6)  # colour types: grey and alpha, RGB and alpha


def exif_place(encoded: tf.Tensor) -> tf.Tensor:
    """The place of the Exif data, int64; -1 if there are none. They may come after the picture."""
    return tf.cond(
        contains(encoded, b"eXIf"),
        lambda: png_chunk(encoded, b"eXIf"),
        lambda: tf.constant(-1, tf.int64),
    )


def is_plain(encoded: tf.Tensor) -> tf.Tensor:
    """Whether it is a PNG file without Exif data and without a transparent colour."""
    return is_png(encoded) & ~contains(encoded, b"eXIf") & ~contains(encoded, b"tRNS")


def is_png(encoded: tf.Tensor) -> tf.Tensor:
    return text(encoded, 0, 8) == b"\x89PNG\r\n\x1a\n"


def plain(encoded: tf.Tensor) -> tf.Tensor:
    """The picture of a plain file, uint8 (H, W, 3), or (H, W, 4) with an alpha channel."""
    with_alpha = tf.reduce_any(at(encoded, 25, 1)[0] == WITH_ALPHA)
    return tf.cond(
        with_alpha, lambda: tf.io.decode_png(encoded, 4), lambda: tf.io.decode_png(encoded, 3)
    )


def decoded(encoded: tf.Tensor) -> tf.Tensor:
    """The picture, uint8 (H, W, 3), or (H, W, 4) if there is transparency.

    Values of 16 bits lose the lower 8. An animation gives the picture that programs without
    animation show.
    """
    colour_type = at(encoded, 25, 1)[0]
    transparent = png_chunk(encoded, b"tRNS", before=b"IDAT") >= 0
    # Four channels of a picture without transparency have an alpha of 1, 3 or 15 where a pixel has
    # 1, 2 or 4 bits (TensorFlow 2.21).
    few_grey = (colour_type == 0) & (at(encoded, 24, 1)[0] < 8)
    return tf.case(
        [
            (transparent & few_grey, lambda: _grey_of_few_bits(encoded)),
            (transparent, lambda: tf.io.decode_png(encoded, 4)),
        ],
        default=lambda: plain(encoded),
    )


def _grey_of_few_bits(encoded: tf.Tensor) -> tf.Tensor:
    """A grey picture of 1, 2 or 4 bits a pixel, whose transparent value TensorFlow ignores."""
    bits = at(encoded, 24, 1)[0]
    value = big(at(encoded, png_chunk(encoded, b"tRNS"), 2)) * 255 // (2**bits - 1)
    grey = tf.io.decode_png(encoded, 1)
    alpha = tf.where(tf.cast(grey, tf.int64) == value, tf.zeros_like(grey), 255)
    return tf.concat((grey, grey, grey, alpha), axis=-1)
