"""JPEG: the place of its Exif data, kinds that are not read, grey pictures of four colours."""

from __future__ import annotations

import tensorflow as tf

from training.data.decoding.formats import colours, exif
from training.data.decoding.formats.fields import at, big, length, text

DCT_METHOD = "INTEGER_ACCURATE"  # as other programs decode JPEG; the fast one differs by a few bits
APP0, APP1, APP15, COMMENT = 0xE0, 0xE1, 0xEF, 0xFE  # markers
BASELINE, PROGRESSIVE = 0xC0, 0xC2  # the first and the last kind of frame that is decoded
OTHER_THAN_FRAMES = (0xC4, 0xC8, 0xCC)


def is_plain(encoded: tf.Tensor) -> tf.Tensor:
    """Whether JFIF's segment and then the tables come first, as in three files of five: no Exif."""
    return (text(encoded, 2, 4) == b"\xff\xe0\0\x10") & (text(encoded, 20, 2) == b"\xff\xdb")


def exif_place(encoded: tf.Tensor) -> tf.Tensor:
    """The place of the Exif data, int64; -1 if there are none among the segments of applications.

    Those and comments stand ahead of everything that describes the picture, where the walk ends.
    """
    end = length(encoded)

    def step(place: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        head = at(encoded, place, 4)  # 0xFF, the marker, the segment's length
        marker = head[1]
        ahead = ((marker >= APP0) & (marker <= APP15)) | (marker == COMMENT)
        is_exif = (marker == APP1) & (text(encoded, place + 4, 6) == exif.PREFIX)
        padding = marker == 0xFF
        following = tf.where(padding, place + 1, place + 2 + big(head[2:]))
        continues = (head[0] == 0xFF) & (ahead | padding)
        return tf.where(continues, following, end), tf.where(continues & is_exif, place + 4, -1)

    start = (tf.constant(2, tf.int64), tf.constant(-1, tf.int64))
    return tf.while_loop(lambda place, found: (found < 0) & (place + 4 <= end), step, start)[1]


def refusal(encoded: tf.Tensor) -> tf.Tensor:
    """The reason why a whole JPEG file is not decoded, a string; "" if none is known."""
    end = length(encoded)

    def step(place: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        head = at(encoded, place, 5)  # 0xFF, the marker, the segment's length, bits a channel
        marker = head[1]
        frame = (marker >= BASELINE) & (marker <= BASELINE + 15)
        frame &= ~tf.reduce_any(marker == OTHER_THAN_FRAMES)
        unread = frame & ((marker > PROGRESSIVE) | (head[4] != 8))
        return tf.where(frame, end, place + 2 + big(head[2:4])), unread

    start = (tf.constant(2, tf.int64), tf.constant(False))
    _, unread = tf.while_loop(lambda place, _: place + 5 <= end, step, start)
    reason = "is a JPEG of 12 bits a channel, lossless or arithmetic-coded: convert it to PNG"
    return tf.where(unread, reason, "")


def decoded(encoded: tf.Tensor, channels: int, box: tf.Tensor | None = None) -> tf.Tensor:
    """The picture as it is stored, uint8 (H, W, channels), of files in CMYK and YCCK too.

    Args:
        encoded: The file.
        channels: 3, or 1 for grey.
        box: (4,) int32: top, left, height and width of the part to decode. Default: all of it.
    """

    def decode(wanted: int) -> tf.Tensor:
        if box is None:
            return tf.io.decode_jpeg(encoded, wanted, dct_method=DCT_METHOD)
        return tf.image.decode_and_crop_jpeg(encoded, box, channels=wanted, dct_method=DCT_METHOD)

    if channels == 3:
        return decode(3)
    in_four_colours = tf.image.extract_jpeg_shape(encoded)[2] == 4
    return tf.cond(in_four_colours, lambda: colours.grey(decode(3)), lambda: decode(1))
