"""The size of an encoded image from its first bytes, in the graph: before anything is decoded."""

from __future__ import annotations

import tensorflow as tf

from training.data.decoding import image_decoding
from training.data.decoding.formats.fields import at, big, little, text

HEADER = 32  # bytes
# A GIF is decoded whole, all its pictures, and LZW shrinks up to 2700 times (12-bit codes that
# stand for up to 4096 pixels each): so much of it can become 1.4 GB.
LONGEST_GIF = 512 * 1024


def checked(encoded: tf.Tensor, max_pixels: int) -> tf.Operation:
    """Returns an operation that fails for bytes of no image, or of one larger than allowed."""
    height, width = size(encoded)

    def refused() -> tf.Tensor:
        message = tf.strings.join(["the image ", image_decoding.reason(encoded, exported=True)])
        with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
            return tf.constant(False)

    known = tf.cond(height * width > 0, lambda: tf.constant(True), refused)
    with tf.control_dependencies([known]):
        message = tf.strings.format(
            f"image of {{}} x {{}} pixels is larger than the {max_pixels} pixels allowed",
            (width, height),
        )
        small = tf.debugging.Assert(height * width <= max_pixels, [message])
        is_gif = text(encoded, 0, 3) == b"GIF"
        short = tf.debugging.Assert(
            tf.logical_not(is_gif) | (tf.strings.length(encoded) <= LONGEST_GIF),
            [f"GIF is longer than the {LONGEST_GIF} bytes allowed; send JPEG or PNG"],
        )
    return tf.group(small, short)


def size(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (height, width), int64, as the header says; (0, 0) for bytes of no known format.

    Args:
        encoded: The bytes of an image file, a scalar string, however short or broken.

    Raises:
        tf.errors.InvalidArgumentError: If the header of a JPEG file is broken.
    """
    return tf.cond(
        text(encoded, 0, 3) == b"\xff\xd8\xff",
        lambda: _as_pair(tf.image.extract_jpeg_shape(encoded)),
        lambda: _from_header(encoded),
    )


def _as_pair(shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    shape = tf.cast(shape, tf.int64)
    return shape[0], shape[1]


def _from_header(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    header = at(encoded, 0, HEADER)

    def begins(signature: bytes, start: int = 0) -> tf.Tensor:
        return tf.reduce_all(header[start : start + len(signature)] == list(signature))

    def bmp(start: int) -> tf.Tensor:  # signed: negative heights are of pictures from the top
        number = little(header[start : start + 4])
        return tf.abs(tf.where(number < 2**31, number, number - 2**32))

    webp = begins(b"RIFF") & begins(b"WEBP", 8)
    packed = little(header[21:25])  # WebP lossless: 14 bits of width - 1, then of height - 1
    low = 2**14
    # kind of file                     height                        width
    table = (
        (begins(b"\x89PNG\r\n\x1a\n"), big(header[20:24]),            big(header[16:20])),
        (begins(b"GIF8"),              little(header[8:10]),         little(header[6:8])),
        (begins(b"BM"),                bmp(22),                      bmp(18)),
        (webp & begins(b"VP8 ", 12),   little(header[28:30]) % low, little(header[26:28]) % low),
        (webp & begins(b"VP8L", 12),   packed // low % low + 1,      packed % low + 1),
        (webp & begins(b"VP8X", 12),   little(header[27:30]) + 1,    little(header[24:27]) + 1),
    )  # fmt: skip
    height = tf.add_n([tf.where(is_kind, h, 0) for is_kind, h, _ in table])
    width = tf.add_n([tf.where(is_kind, w, 0) for is_kind, _, w in table])
    return height, width
