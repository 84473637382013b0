"""BMP: pictures with a palette, which TensorFlow reads as grey, and kinds that are refused."""

from __future__ import annotations

import tensorflow as tf

from training.data.decoding.formats.fields import at, little, text

UNCOMPRESSED, BIT_FIELDS = 0, 3
MASKS = (0xFF0000, 0xFF00, 0xFF)  # of red, green and blue, as TensorFlow takes them to be
ALPHA_MASK = 0xFF000000


def _field(encoded: tf.Tensor, start: int, count: int = 4) -> tf.Tensor:
    return little(at(encoded, start, count))


def refusal(encoded: tf.Tensor) -> tf.Tensor:
    """Why a BMP file is not read, a string; "" if it is."""
    bits, compression = _field(encoded, 28, 2), _field(encoded, 30)
    masks = tf.stack([_field(encoded, start) for start in (54, 58, 62)])
    usual = tf.reduce_all(masks == MASKS)
    readable = (compression == UNCOMPRESSED) & tf.reduce_any(bits == (1, 4, 8, 24, 32))
    readable |= (compression == BIT_FIELDS) & (bits == 32) & usual
    readable &= _field(encoded, 14) >= 40  # the header of OS/2 is shorter
    return tf.where(
        readable,
        "",
        "is a BMP that is compressed, of 16 bits a pixel, or of OS/2: convert it to PNG",
    )


def decoded(encoded: tf.Tensor) -> tf.Tensor:
    """The picture, uint8 (H, W, 3), or (H, W, 4) if the header says where transparency is."""
    transparent = (_field(encoded, 30) == BIT_FIELDS) & (_field(encoded, 14) >= 56)
    transparent &= _field(encoded, 66) == ALPHA_MASK
    return tf.cond(
        _field(encoded, 28, 2) <= 8,
        lambda: _with_palette(encoded),
        lambda: tf.cond(
            transparent,
            lambda: tf.io.decode_bmp(encoded, 4),
            lambda: tf.io.decode_bmp(encoded, 0)[..., :3],
        ),
    )


def _with_palette(encoded: tf.Tensor) -> tf.Tensor:
    """Pixels of 1, 4 or 8 bits, the leftmost in a byte's highest ones; rows of whole 4 bytes."""
    first_pixel, header, width, height, bits, colours = (
        _field(encoded, start, count)
        for start, count in ((10, 4), (14, 4), (18, 4), (22, 4), (28, 2), (46, 4))
    )
    bottom_up = height < 2**31  # a negative height is of rows from the top
    height = tf.where(bottom_up, height, 2**32 - height)
    colours = tf.where(colours == 0, 2**bits, colours)
    row = (width * bits + 31) // 32 * 4
    pixels = tf.io.decode_raw(text(encoded, first_pixel, row * height), tf.uint8)
    pixels = tf.cast(tf.reshape(pixels, (height, row, 1)), tf.int64)
    shifts = 8 - bits * tf.range(1, 8 // bits + 1)
    places = tf.reshape(pixels // 2**shifts % 2**bits, (height, -1))[:, :width]
    palette = tf.io.decode_raw(text(encoded, 14 + header, 4 * colours), tf.uint8)
    palette = tf.reshape(palette, (-1, 4))[:, 2::-1]  # stored as blue, green, red, nothing
    image = tf.gather(palette, places)
    return tf.cond(bottom_up, lambda: image[::-1], lambda: image)
