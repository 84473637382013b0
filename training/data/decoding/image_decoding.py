"""The one decoder of training, evaluation, inspection, export and serving: what a viewer shows.

It turns the picture as its Exif data say, shows transparent pixels over white, takes the first
picture of an animation, and refuses what it cannot show so; docs/images.md has the limits.
All of it can be in the graph, for exported models. Elsewhere a graph calls what only some files
need as a function of this process: as part of the graph, it takes a second each time that a data
set is begun.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import tensorflow as tf

from training.data.decoding.formats import bmp, colours, exif, gif, jpeg, png, webp
from training.data.decoding.formats.fields import at, little, text, traced_once
from training.data.decoding.formats.kinds import BMP_HEADERS, OTHERS, READ_FORMATS
from training.data.decoding.reading_errors import one_line


def decode(encoded: tf.Tensor, channels: int = 3, exported: bool = False) -> tf.Tensor:
    """The whole picture.

    Args:
        encoded: The bytes of an image file, a scalar string.
        channels: 3, or 1 for grey (ITU-R BT.601).
        exported: Whether the graph must hold everything, since it leaves this process.

    Returns:
        uint8 (H, W, channels).

    Raises:
        tf.errors.InvalidArgumentError: If the file is damaged or refused; see `refusal`.
    """

    def from_jpeg() -> tf.Tensor:
        turn = jpeg_orientation(encoded, exported)
        return exif.turned(jpeg.decoded(encoded, channels), turn)

    return tf.cond(
        tf.io.is_jpeg(encoded),
        from_jpeg,
        lambda: decode_other_than_jpeg(encoded, channels, exported),
    )


displayed_shape = exif.displayed_extent


def jpeg_orientation(encoded: tf.Tensor, exported: bool = False) -> tf.Tensor:
    """The orientation, 1..8, of a JPEG file: int64; `exported` as in `decode`."""

    encoded = tf.convert_to_tensor(encoded)
    as_stored = tf.constant(exif.AS_STORED, tf.int64)
    turn = tf.cond(jpeg.is_plain(encoded), lambda: as_stored, lambda: _jpeg_orientation(encoded))
    return tf.ensure_shape(turn, ())


@traced_once
def _jpeg_orientation(encoded: tf.Tensor) -> tf.Tensor:
    return exif.orientation(encoded, jpeg.exif_place(encoded))


def _called(function: Callable[..., tf.Tensor], *more: int) -> Callable[[bytes], np.ndarray]:
    """A function as `tf.numpy_function` calls it, whose ValueErrors become TensorFlow's."""

    def call(encoded: bytes) -> np.ndarray:
        try:
            return function(tf.constant(encoded, tf.string), *more).numpy()
        except tf.errors.OpError as error:
            raise ValueError(one_line(error)) from None

    return call


def decode_jpeg_box(
    encoded: tf.Tensor, box: tf.Tensor, displayed: tf.Tensor, turn: tf.Tensor, channels: int
) -> tf.Tensor:
    """A part of a JPEG picture, without decoding much more of it.

    Args:
        encoded: The file.
        box: (4,) int32: top, left, height and width of the part, in the picture that is shown.
        displayed: (2,) int32: height and width of that picture.
        turn: Its orientation.
        channels: 3, or 1 for grey.

    Returns:
        uint8 (height, width, channels).
    """
    stored = exif.stored_box(box, displayed, turn)
    return exif.turned(jpeg.decoded(encoded, channels, stored), turn)


def decode_other_than_jpeg(encoded: tf.Tensor, channels: int, exported: bool = False) -> tf.Tensor:
    """Decodes any format but JPEG, as `decode` does."""
    if exported or tf.executing_eagerly():
        image = _decode_other_than_jpeg(tf.convert_to_tensor(encoded), channels)
    else:
        image = _usual_or_rare(encoded, channels)
    return tf.ensure_shape(image, (None, None, channels))


@traced_once
def _usual_or_rare(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """Plain PNG and WebP in the graph; what others need is a function of this process."""

    def plain(module: ModuleType) -> Callable[[], tf.Tensor]:
        return lambda: _in_channels(colours.over_white(module.plain(encoded)), channels)

    def rare() -> tf.Tensor:
        function = _called(_decode_other_than_jpeg, channels)
        return tf.numpy_function(function, (encoded,), tf.uint8, stateful=False)

    known = [(module.is_plain(encoded), plain(module)) for module in (png, webp)]
    return tf.case(known, default=rare)


@traced_once
def _decode_other_than_jpeg(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    reason = refusal(encoded)
    shown = tf.debugging.Assert(reason == "", [tf.strings.join(["the image ", reason])])
    with tf.control_dependencies([shown]):
        encoded = tf.identity(encoded)
    is_bmp, is_gif, is_webp = (begins(encoded) for begins in (_is_bmp, _is_gif, webp.is_webp))
    image = tf.case(
        [
            (is_bmp, lambda: colours.over_white(bmp.decoded(encoded))),
            (is_gif, lambda: gif.decoded(encoded)),
            (is_webp, lambda: _upright(webp.decoded(encoded), encoded, webp.exif_place(encoded))),
        ],
        default=lambda: _upright(png.decoded(encoded), encoded, png.exif_place(encoded)),
    )
    return _in_channels(image, channels)


def _in_channels(image: tf.Tensor, channels: int) -> tf.Tensor:
    image = tf.ensure_shape(image, (None, None, 3))
    return image if channels == 3 else colours.grey(image)


def _upright(image: tf.Tensor, encoded: tf.Tensor, exif_place: tf.Tensor) -> tf.Tensor:
    return exif.turned(colours.over_white(image), exif.orientation(encoded, exif_place))


def refusal(encoded: tf.Tensor) -> tf.Tensor:
    """Why a file's kind is not read, a scalar string such as "is empty"; "" if it is read.

    A file of a kind that is read may still be damaged.
    """
    known = tf.io.is_jpeg(encoded) | png.is_png(encoded) | _is_gif(encoded) | webp.is_webp(encoded)
    return tf.case(
        [
            (known, lambda: tf.constant("")),
            (_is_bmp(encoded), lambda: bmp.refusal(encoded)),
            (encoded == b"", lambda: tf.constant("is empty")),
        ],
        default=lambda: _other_kind(encoded),
    )


def _other_kind(encoded: tf.Tensor) -> tf.Tensor:
    reasons = [f"is {name}, which is not read: convert it to JPEG or PNG" for *_, name in OTHERS]
    fits = [text(encoded, start, len(magic)) == magic for start, magic, _ in OTHERS]
    first = tf.argmax(tf.cast([*fits, True], tf.int32))
    return tf.constant([*reasons, f"is not {READ_FORMATS}"])[first]


def reason(encoded: tf.Tensor, exported: bool = False) -> tf.Tensor:
    """Why a file could not be decoded, a scalar string such as "is damaged or cut off".

    `exported` is as in `decode`.
    """
    if exported or tf.executing_eagerly():
        return _reason(tf.convert_to_tensor(encoded))
    found = tf.numpy_function(_called(_reason), (encoded,), tf.string, stateful=False)
    return tf.ensure_shape(found, ())


@traced_once
def _reason(encoded: tf.Tensor) -> tf.Tensor:
    refused = tf.cond(
        tf.io.is_jpeg(encoded), lambda: jpeg.refusal(encoded), lambda: refusal(encoded)
    )
    return tf.where(refused == "", "is damaged or cut off", refused)


def _is_gif(encoded: tf.Tensor) -> tf.Tensor:
    return (text(encoded, 0, 6) == b"GIF87a") | (text(encoded, 0, 6) == b"GIF89a")


def _is_bmp(encoded: tf.Tensor) -> tf.Tensor:
    header = little(at(encoded, 14, 4))
    return (text(encoded, 0, 2) == b"BM") & tf.reduce_any(header == BMP_HEADERS)
