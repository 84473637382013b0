"""GIF: the first picture of an animation, white where it is transparent."""

from __future__ import annotations

import tensorflow as tf

from training.data.decoding.formats.fields import at, length, little, text, written

EXTENSION, IMAGE, CONTROL = 0x21, 0x2C, 0xF9  # the first two begin a block, the third a kind of it
FIRST_PALETTE = 13


def decoded(encoded: tf.Tensor) -> tf.Tensor:
    """The first picture, as large as the whole animation, uint8 (H, W, 3)."""
    image_at, control_at = _walk_to_image(encoded)
    opaque = tf.cond(
        (control_at >= 0) & (at(encoded, control_at + 3, 1)[0] % 2 == 1),
        lambda: _in_white(encoded, image_at, control_at),
        lambda: encoded,
    )
    # TensorFlow 2.21 makes room for this picture alone, but would put it at its place.
    at_the_corner = _replaced(opaque, image_at + 1, bytes(4))
    picture = tf.io.decode_image(at_the_corner, 3, expand_animations=False)
    picture = tf.ensure_shape(picture, (None, None, 3))
    left, top = (little(at(encoded, image_at + i, 2)) for i in (1, 3))
    width, height = (little(at(encoded, i, 2)) for i in (6, 8))
    rows, columns, _ = tf.unstack(tf.shape(picture, tf.int64))
    below, right = tf.maximum(height - top - rows, 0), tf.maximum(width - left - columns, 0)
    return tf.pad(picture, ((top, below), (left, right), (0, 0)), constant_values=255)


def _walk_to_image(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The places of the first picture's descriptor and of its control block, or -1; int64."""
    end = length(encoded)
    packed = at(encoded, 10, 1)[0]
    first = FIRST_PALETTE + packed // 128 * 6 * 2 ** (packed % 8)

    def step(
        place: tf.Tensor, control: tf.Tensor, inside: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        head = at(encoded, place, 2)
        is_control = ~inside & (head[0] == EXTENSION) & (head[1] == CONTROL)
        control = tf.where(is_control, place, control)
        # Inside an extension come parts with their length ahead; one of length 0 ends it.
        following = tf.where(inside, place + 1 + head[0], place + 2)
        return following, control, tf.where(inside, head[0] != 0, True)

    def on(place: tf.Tensor, _: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
        return (place < end) & (inside | (at(encoded, place, 1)[0] == EXTENSION))

    start = (first, tf.constant(-1, tf.int64), tf.constant(False))
    place, control, _ = tf.while_loop(on, step, start)
    return place, control


def _in_white(encoded: tf.Tensor, image_at: tf.Tensor, control_at: tf.Tensor) -> tf.Tensor:
    """The file with white in place of transparency, in its control block and its palette."""
    control = at(encoded, control_at, 8)
    own_palette = at(encoded, image_at + 9, 1)[0] >= 128
    palette = tf.where(own_palette, image_at + 10, tf.constant(FIRST_PALETTE, tf.int64))
    colour_at = palette + 3 * control[6]
    opaque = _replaced(encoded, control_at + 3, written(control[3] - 1, 1))
    return _replaced(opaque, colour_at, b"\xff\xff\xff")


def _replaced(encoded: tf.Tensor, place: tf.Tensor, new: bytes | tf.Tensor) -> tf.Tensor:
    """The file with other bytes from that place on, and the same length."""
    rest = text(encoded, place + length(new), length(encoded))
    return tf.strings.join([text(encoded, 0, place), new, rest])
