"""Sizes of image files from their headers, and what is refused before it is decoded."""

from __future__ import annotations

import pytest
import tensorflow as tf
from pictures import file_bytes, picture

from training.data.decoding import image_headers


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 50}),
        ("WEBP", {"exif": b"Exif\0\0", "quality": 50}),  # the extended layout
    ],
)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (37, 300), (513, 20)])
def test_sizes_are_read_from_headers(kind, options, height, width):
    encoded = file_bytes(picture(height, width), kind, **options)
    assert [int(n) for n in image_headers.size(tf.constant(encoded))] == [height, width]


def test_bombs_and_what_is_no_image_are_refused_before_decoding():
    png = file_bytes(picture(32, 32), "PNG")
    bomb = png[:16] + (50000).to_bytes(4, "big") * 2 + png[24:]
    gif = file_bytes(picture(32, 32), "GIF") + bytes(600_000)
    for encoded, reason in (
        (bomb, "50000 x 50000 pixels is larger than the 1000000 pixels"),
        (gif, "GIF is longer than the 524288 bytes"),
        (b"", "the image is empty"),
        (b"MM\0*", "the image is TIFF, which is not read"),
        (png[:20], "the image is damaged or cut off"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=reason):
            image_headers.checked(tf.constant(encoded), max_pixels=10**6)
