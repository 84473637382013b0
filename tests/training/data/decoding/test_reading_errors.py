"""TensorFlow's errors as one line, however deep in graphs they arise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from image_files import noise, saved

from training.data.decoding import image_decoding
from training.data.decoding.reading_errors import one_line

FORMATS = ("JPEG", "PNG", "GIF", "WebP", "BMP")
Decode = Callable[[tf.Tensor], tf.Tensor]


def in_a_data_set(decode: Decode) -> Decode:
    return lambda encoded: next(iter(tf.data.Dataset.from_tensors(encoded).map(decode)))


def in_functions(decode: Decode) -> Decode:
    return tf.function(lambda encoded: tf.map_fn(tf.function(decode), encoded[None], tf.uint8))


def cut_off(kind: str) -> bytes:
    encoded = saved(noise(), kind)
    return encoded[: len(encoded) // 2]


@pytest.mark.parametrize("within", [in_a_data_set, in_functions])
@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (b"text", "the image is not JPEG, PNG, GIF, BMP or WebP"),
        (b"\xff\xd8\xff" + bytes(9), "the image is damaged or cut off"),
        *((cut_off(kind), "the image is damaged or cut off") for kind in FORMATS),
    ],
)
def test_an_error_is_one_line_without_its_graph(
    within: Callable[[Decode], Decode], encoded: bytes, expected: str
) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        np.asarray(within(image_decoding.decode)(tf.constant(encoded)))
    assert one_line(raised.value) == expected
