"""WebP: the first picture of an animation, and where the Exif data are."""

from __future__ import annotations

import tensorflow as tf

from training.data.decoding.formats import colours
from training.data.decoding.formats.fields import (
    at,
    contains,
    length,
    little,
    riff_chunk,
    text,
    written,
)

ANIMATION, ALPHA = 0x02, 0x10  # flags of the extended format


def exif_place(encoded: tf.Tensor) -> tf.Tensor:
    """The place of the Exif data, int64; -1 if there are none."""
    return tf.cond(
        contains(encoded, b"EXIF"),
        lambda: riff_chunk(encoded, b"EXIF"),
        lambda: tf.constant(-1, tf.int64),
    )


def is_plain(encoded: tf.Tensor) -> tf.Tensor:
    """Whether it is a WebP file of one picture without Exif data."""
    return is_webp(encoded) & ~_is_animated(encoded) & ~contains(encoded, b"EXIF")


def is_webp(encoded: tf.Tensor) -> tf.Tensor:
    return (text(encoded, 0, 4) == b"RIFF") & (text(encoded, 8, 4) == b"WEBP")


def _is_animated(encoded: tf.Tensor) -> tf.Tensor:
    extended = text(encoded, 12, 4) == b"VP8X"
    return extended & (at(encoded, 20, 1)[0] // ANIMATION % 2 == 1)


def decoded(encoded: tf.Tensor) -> tf.Tensor:
    """The first picture, uint8 (H, W, 3), or (H, W, 4) if there is transparency."""
    # No animation may reach TensorFlow 2.21: it writes beyond the end of its memory.
    return tf.cond(_is_animated(encoded), lambda: _first_picture(encoded), lambda: plain(encoded))


def plain(encoded: tf.Tensor) -> tf.Tensor:
    """The picture of a plain file, uint8 (H, W, 3), or (H, W, 4) if there is transparency."""
    return tf.ensure_shape(tf.raw_ops.DecodeWebP(contents=encoded)[0], (None, None, None))


def _first_picture(encoded: tf.Tensor) -> tf.Tensor:
    """The first picture, decoded as a file of its own, in white up to the animation's edge."""
    frame = riff_chunk(encoded, b"ANMF")
    left, top = (2 * little(at(encoded, frame + i, 3)) for i in (0, 3))
    columns, rows = (1 + little(at(encoded, frame + i, 3)) for i in (6, 9))
    width, height = (1 + little(at(encoded, i, 3)) for i in (24, 27))
    right, below = width - left - columns, height - top - rows
    # Ahead of decoding: the size that was allowed is that of the animation.
    inside = tf.debugging.Assert((right >= 0) & (below >= 0), ["a picture beyond its animation"])
    with tf.control_dependencies([inside]):
        size = little(at(encoded, frame - 4, 4))
        picture = text(encoded, frame + 16, size - 16)
    extent = text(encoded, frame + 6, 6)
    header = tf.strings.join([b"WEBPVP8X\x0a\0\0\0", bytes([ALPHA, 0, 0, 0]), extent])
    total = length(header) + length(picture)
    still = plain(tf.strings.join([b"RIFF", written(total, 4), header, picture]))
    around = ((top, below), (left, right), (0, 0))
    return tf.pad(colours.over_white(still), around, constant_values=255)
