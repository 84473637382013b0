"""Pixels on their way into an exported network."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from training.data.decoding import cropping
from training.data.decoding.resizing import Resizing
from training.export.signatures import ImageInput

RNG = np.random.default_rng(0)


def resized(pixels: np.ndarray, resizing: Resizing) -> np.ndarray:
    images = ImageInput(resizing, channels=3, max_pixels=1)
    spec = tf.TensorSpec((None, None, None, 3), pixels.dtype)
    return tf.function(images.resize, input_signature=[spec])(pixels).numpy()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(8, 8), (8, 11), (12, 8), (16, 16), (5, 7)])
@pytest.mark.parametrize("shorter_side", [8, 10])
def test_images_of_any_size_are_scaled_and_cut(shape, shorter_side, dtype):
    """A batch is `cropping.cut` of each image, even where there is nothing to scale."""
    pixels = RNG.integers(0, 256, (3, *shape, 3)).astype(dtype)
    resizing = Resizing(shorter_side, 8)
    window = resizing.window(tf.constant(shape))
    expected = [cropping.cut(tf.constant(image), window, 8) for image in pixels]
    np.testing.assert_allclose(resized(pixels, resizing), expected, atol=1e-4)


def test_pixels_of_the_network_s_size_stay_as_they_are():
    pixels = RNG.uniform(0, 255, (2, 8, 8, 3)).astype("f4")
    np.testing.assert_array_equal(resized(pixels, Resizing(8, 8)), pixels)
