"""The orientation in which a camera says that its picture is to be shown (Exif 2.32, tag 0x0112).

1 2 3 4 5 6 7 8     as stored, mirrored, upside down, upside down and mirrored, and the four
                    quarter turns: 5 and 7 mirrored too, 6 turned clockwise, 8 the other way
"""

from __future__ import annotations

import tensorflow as tf

from training.data.decoding.formats.fields import at, big, little, text, traced_once

PREFIX = b"Exif\0\0"  # before the TIFF structure in JPEG, and in the WebP of some programs
AS_STORED = 1
ORIENTATION, SHORT = 0x0112, 3  # a tag, and the type of its value


def orientation(encoded: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """The orientation, 1 to 8, int64; 1 where there are no Exif data or they make no sense.

    Args:
        encoded: The bytes of an image file.
        place: Where its Exif data begin, with or without `PREFIX`; -1 if it has none.
    """
    encoded = tf.convert_to_tensor(encoded)
    stored = tf.constant(AS_STORED, tf.int64)
    return tf.cond(place >= 0, lambda: _read(encoded, place), lambda: stored)


@traced_once
def _read(encoded: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    prefixed = text(encoded, place, len(PREFIX)) == PREFIX
    tiff = tf.where(prefixed, place + len(PREFIX), place)
    order, magic = text(encoded, tiff, 2), text(encoded, tiff + 2, 2)
    most_first = order == b"MM"

    def number(of: tf.Tensor) -> tf.Tensor:
        return tf.where(most_first, big(of), little(of))

    directory = tiff + number(at(encoded, tiff + 4, 4))
    raw = text(encoded, directory + 2, 12 * number(at(encoded, directory, 2)))
    whole = tf.strings.length(raw) // 12 * 12
    entries = tf.io.decode_raw(tf.strings.substr(raw, 0, whole), tf.uint8)
    entries = tf.cast(tf.reshape(entries, (-1, 12)), tf.int64)
    known = (number(entries[:, :2]) == ORIENTATION) & (number(entries[:, 2:4]) == SHORT)
    values = tf.boolean_mask(number(entries[:, 8:10]), known)
    value = tf.concat((values, [AS_STORED]), axis=0)[0]
    is_tiff = (most_first & (magic == b"\0*")) | ((order == b"II") & (magic == b"*\0"))
    return tf.where(is_tiff & (value >= 1) & (value <= 8), value, AS_STORED)


def displayed_extent(extent: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Stored height and width (2,) -> those of the picture that is shown."""
    return tf.where(turn >= 5, extent[::-1], extent)


def stored_box(box: tf.Tensor, displayed: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """The stored box of a box of the picture that is shown.

    Args:
        box: (4,) int32: top, left, height and width in the picture that is shown.
        displayed: (2,) int32: height and width of that picture.
        turn: The orientation.
    """
    return tf.cond(turn == AS_STORED, lambda: box, lambda: _stored_box(box, displayed, turn))


@traced_once
def _stored_box(box: tf.Tensor, displayed: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    place, extent = box[:2], box[2:]
    place = tf.where(tf.stack(_mirrored(turn)), displayed - place - extent, place)
    swapped = tf.concat((place[::-1], extent[::-1]), axis=0)
    return tf.where(turn >= 5, swapped, tf.concat((place, extent), axis=0))


def turned(image: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Returns the picture as it is shown, given as it is stored: (H, W, C) each."""
    shown = tf.cond(turn == AS_STORED, lambda: image, lambda: _turned(image, turn))
    return tf.ensure_shape(shown, (None, None, image.shape[-1]))


@traced_once
def _turned(image: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    upright = tf.cond(turn >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    rows, columns = _mirrored(turn)
    upright = tf.cond(rows, lambda: upright[::-1], lambda: upright)
    return tf.cond(columns, lambda: upright[:, ::-1], lambda: upright)


def _mirrored(turn: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Whether rows and columns run backwards once a quarter turn's axes are swapped."""
    rows = (turn == 3) | (turn == 4) | (turn == 7) | (turn == 8)
    columns = (turn == 2) | (turn == 3) | (turn == 6) | (turn == 7)
    return rows, columns
