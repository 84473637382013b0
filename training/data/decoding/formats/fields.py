"""Numbers and chunks in the bytes of a file, in the graph; what lies beyond the end reads as 0."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

_BYTES = tuple(bytes([value]) for value in range(256))


def traced_once(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """The function, traced once however many graphs use it; without a graph it runs as it is.

    `tf.numpy_function` occupies a thread of the pool in which a traced function runs, so that a
    function of it that called a traced one could wait for ever.
    """
    traced = tf.function(function, autograph=False)

    @functools.wraps(function)
    def call(*arguments: Any) -> tf.Tensor:
        return (function if tf.executing_eagerly() else traced)(*arguments)

    return call


def at(encoded: tf.Tensor, start: tf.Tensor | int, count: int) -> tf.Tensor:
    """The `count` bytes from `start` on, int64 (count,)."""
    padded = tf.strings.join([text(encoded, start, count), count * b"\0"])
    numbers = tf.io.decode_raw(tf.strings.substr(padded, 0, count), tf.uint8)
    return tf.ensure_shape(tf.cast(numbers, tf.int64), (count,))


def text(encoded: tf.Tensor, start: tf.Tensor | int, count: tf.Tensor | int) -> tf.Tensor:
    """Up to `count` bytes from `start` on, a string; fewer at the end of the file."""
    start, count = tf.cast(start, tf.int64), tf.cast(count, tf.int64)
    return tf.strings.substr(encoded, tf.minimum(start, length(encoded)), tf.maximum(count, 0))


def length(encoded: tf.Tensor) -> tf.Tensor:
    """The length of the file in bytes, int64."""
    return tf.cast(tf.strings.length(encoded), tf.int64)


def little(numbers: tf.Tensor) -> tf.Tensor:
    """The numbers (...) that bytes (..., n) make, the least significant byte first."""
    weights = [256**place for place in range(numbers.shape[-1])]
    return tf.reduce_sum(numbers * tf.constant(weights, tf.int64), axis=-1)


def big(numbers: tf.Tensor) -> tf.Tensor:
    """The numbers (...) that bytes (..., n) make, the most significant byte first."""
    return little(numbers[..., ::-1])


def written(number: tf.Tensor, count: int) -> tf.Tensor:
    """A number as a string of `count` bytes, the least significant first."""
    digits = number // tf.constant([256**place for place in range(count)], tf.int64) % 256
    return tf.strings.reduce_join(tf.gather(tf.constant(_BYTES), digits))


def contains(encoded: tf.Tensor, part: bytes) -> tf.Tensor:
    """Whether the file holds these bytes anywhere; a tenth of a millisecond for each megabyte."""
    return tf.size(tf.strings.split(encoded, part)) > 1


def riff_chunk(encoded: tf.Tensor, name: bytes) -> tf.Tensor:
    """The place of the data of the first chunk of that name in a WebP file, int64; -1 if none."""

    def header(place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = little(at(encoded, place + 4, 4))
        return text(encoded, place, 4), place + 8 + size + size % 2

    return _found(encoded, header, 12, name)


def png_chunk(encoded: tf.Tensor, name: bytes, before: bytes = b"IEND") -> tf.Tensor:
    """The place of the data of the first chunk of that name in a PNG file, int64; -1 if none.

    Args:
        encoded: The file.
        name: Of the chunk.
        before: Name of a chunk that ends the search.
    """

    def header(place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return text(encoded, place + 4, 4), place + 12 + big(at(encoded, place, 4))

    return _found(encoded, header, 8, name, before)


def _found(encoded, header, first: int, name: bytes, before: bytes = b"") -> tf.Tensor:  # type: ignore[no-untyped-def]
    """Walks from chunk to chunk; in both formats the data begin eight bytes after the chunk."""
    end = length(encoded)

    def step(place: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        this, following = header(place)
        found = tf.where(this == name, place + 8, -1)
        return tf.where(this == before, end, following), found

    start = (tf.constant(first, tf.int64), tf.constant(-1, tf.int64))
    return tf.while_loop(lambda place, found: (found < 0) & (place + 8 <= end), step, start)[1]
