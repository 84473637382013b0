"""The size of an encoded image from its first bytes, in the graph: before anything is decoded."""

from __future__ import annotations

import tensorflow as tf

from training.data.formats.kinds import READ_FORMATS

HEADER = 32  # bytes
# A GIF is decoded whole, all its pictures, and LZW shrinks up to 2700 times (12-bit codes that
# stand for up to 4096 pixels each): so much of it can become 1.4 GB.
LONGEST_GIF = 512 * 1024


def checked(encoded: tf.Tensor, max_pixels: int) -> tf.Operation:
    """Fails, with what is wrong, for bytes that are no image, or one larger than allowed."""
    height, width = size(encoded)
    known = tf.debugging.Assert(
        height * width > 0, [f"image_bytes hold no readable {READ_FORMATS} file"]
    )
    with tf.control_dependencies([known]):
        message = tf.strings.format(
            f"image of {{}} x {{}} pixels is larger than the {max_pixels} pixels allowed",
            (width, height),
        )
        small = tf.debugging.Assert(height * width <= max_pixels, [message])
        is_gif = tf.strings.substr(encoded, 0, 3) == b"GIF"
        short = tf.debugging.Assert(
            tf.logical_not(is_gif) | (tf.strings.length(encoded) <= LONGEST_GIF),
            [f"GIF is longer than the {LONGEST_GIF} bytes allowed; send JPEG or PNG"],
        )
    return tf.group(small, short)


def size(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """(height, width), int64, as the header says; (0, 0) of anything else.

    Args:
        encoded: The bytes of an image file, a scalar string; however short or broken.
    """
    # Broken JPEG headers end in an error of TensorFlow's, as they should.
    return tf.cond(
        tf.strings.substr(encoded + HEADER * b"\0", 0, 3) == b"\xff\xd8\xff",
        lambda: _as_pair(tf.image.extract_jpeg_shape(encoded)),
        lambda: _from_header(encoded),
    )


def _as_pair(shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    shape = tf.cast(shape, tf.int64)
    return shape[0], shape[1]


def _from_header(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    text = tf.strings.substr(encoded + HEADER * b"\0", 0, HEADER)
    header = tf.cast(tf.io.decode_raw(text, tf.uint8), tf.int64)

    def little(start: int, count: int) -> tf.Tensor:
        return tf.add_n([header[start + i] * 256**i for i in range(count)])

    def big(start: int) -> tf.Tensor:
        return tf.add_n([header[start + i] * 256 ** (3 - i) for i in range(4)])

    def begins(signature: bytes, start: int = 0) -> tf.Tensor:
        return tf.strings.substr(text, start, len(signature)) == signature

    def bmp(start: int) -> tf.Tensor:  # signed: negative heights are of pictures from the top
        number = little(start, 4)
        return tf.abs(tf.where(number < 2**31, number, number - 2**32))

    webp = begins(b"RIFF") & begins(b"WEBP", 8)
    packed = little(21, 4)  # WebP lossless: 14 bits of width - 1, then of height - 1
    low = 2**14
    # kind of file                     height                      width
    table = (
        (begins(b"\x89PNG\r\n\x1a\n"), big(20),                    big(16)),
        (begins(b"GIF8"),              little(8, 2),               little(6, 2)),
        (begins(b"BM"),                bmp(22),                    bmp(18)),
        (webp & begins(b"VP8 ", 12),   little(28, 2) % low,        little(26, 2) % low),
        (webp & begins(b"VP8L", 12),   packed // low % low + 1,    packed % low + 1),
        (webp & begins(b"VP8X", 12),   little(27, 3) + 1,          little(24, 3) + 1),
    )  # fmt: skip
    height = tf.add_n([tf.where(is_kind, h, 0) for is_kind, h, _ in table])
    width = tf.add_n([tf.where(is_kind, w, 0) for is_kind, _, w in table])
    return height, width
