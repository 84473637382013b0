"""Every operation eagerly and inside tf.data, against NumPy, Pillow and the paper's numbers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from training.data import augmentation


def seeds(count: int) -> tf.data.Dataset:
    return tf.data.Dataset.range(count).map(lambda i: tf.stack((tf.constant(7, tf.int64), i)))


def shifted(image: np.ndarray, padding: int, mirror: bool) -> np.ndarray:
    """Every crop there is, (crops, H, W, C), the slow way."""
    height, width, channels = image.shape
    padded = np.zeros((height + 2 * padding, width + 2 * padding, channels), image.dtype)
    padded[padding : padding + height, padding : padding + width] = image
    crops = [
        padded[top : top + height, left : left + width]
        for top in range(2 * padding + 1)
        for left in range(2 * padding + 1)
    ]
    return np.stack(crops + [crop[:, ::-1] for crop in crops] if mirror else crops)


@pytest.mark.parametrize(("padding", "mirror"), [(4, True), (2, False)])
def test_pad_crop_draws_every_crop_alike(padding: int, mirror: bool) -> None:
    image = np.arange(1, 6 * 7 * 2 + 1, dtype=np.float32).reshape(6, 7, 2)
    crops = shifted(image, padding, mirror)
    per_crop = 40
    batch = np.repeat(image[np.newaxis], per_crop * len(crops), axis=0)
    out = augmentation.pad_crop(batch, (1, 2), padding, mirror).numpy()
    matches = (out[:, np.newaxis] == crops).all(axis=(2, 3, 4))
    assert (matches.sum(axis=1) == 1).all()  # each is a crop, and only one
    counts = matches.sum(axis=0)
    # Chi-squared has as mean its degrees of freedom d and variance 2d.
    degrees = len(crops) - 1
    chi_squared = ((counts - per_crop) ** 2 / per_crop).sum()
    assert abs(chi_squared - degrees) < 4 * np.sqrt(2 * degrees)


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.integers(0, 3), st.integers())
def test_pad_crop_inside_tf_data(
    n: int, height: int, width: int, padding: int, number: int
) -> None:
    images = np.random.default_rng(0).normal(size=(n, height, width, 3)).astype(np.float32)
    seed = np.array([3, number % 2**31], np.int64)
    eager = augmentation.pad_crop(images, seed, padding, mirror=True)
    dataset = tf.data.Dataset.from_tensors(images).map(
        lambda batch: augmentation.pad_crop(batch, seed, padding, mirror=True)
    )
    assert dataset.element_spec.shape == images.shape
    np.testing.assert_array_equal(dataset.get_single_element(), eager)
    for image, out in zip(images, eager.numpy(), strict=True):
        assert (shifted(image, padding, True) == out).all(axis=(1, 2, 3)).any()


def test_random_windows_are_the_papers() -> None:
    shape = (300, 400, 3)
    draws = seeds(5000).map(lambda seed: augmentation.random_window(shape, seed)).batch(5000)
    scale, top, left = (part.numpy() for part in draws.get_single_element())
    sides = scale * 300
    np.testing.assert_allclose(sides, np.round(sides), atol=1e-3)
    assert set(np.round(sides).astype(int)) == set(range(256, 481))
    assert (top == np.floor(top)).all()
    assert (left == np.floor(left)).all()
    for place, extent in ((top, 300), (left, 400)):
        room = np.floor(extent * scale + 1e-3) - 224
        assert (place >= 0).all()
        assert (place <= room).all()
        assert abs((place / room).mean() - 0.5) < 0.02
        assert {0.0, 1.0} <= set(place / room)
    eager = augmentation.random_window(shape, (7, 0))
    np.testing.assert_array_equal(eager, (scale[0], top[0], left[0]))


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.sampled_from([32, 64, 224]),
    st.integers(0, 9),
)
def test_windows_lie_in_the_photograph(height: int, width: int, size: int, number: int) -> None:
    shape = (height, width, 3)
    for window in (
        augmentation.random_window(shape, (number, 0), size),
        augmentation.central_window(shape, size),
    ):
        for place, extent in ((window.top, height), (window.left, width)):
            assert place >= 0
            assert place + size <= extent * window.scale + 0.01


def pillow_cut(image: np.ndarray, window: augmentation.Window, size: int) -> np.ndarray:
    """The same by Pillow, whose bilinear filter antialiases too."""
    scale, top, left = (float(part) for part in window)
    box = (left / scale, top / scale, (left + size) / scale, (top + size) / scale)
    channels = [
        Image.fromarray(image[..., c].astype(np.float32)).resize(
            (size, size), Image.Resampling.BILINEAR, box=box
        )
        for c in range(image.shape[-1])
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


@pytest.mark.parametrize("size", [224, 32])
def test_cut_is_pillows(photographs: list[Path], size: int) -> None:
    for number, path in enumerate(photographs[:6]):
        image = np.asarray(Image.open(path).convert("RGB"))
        for window in (
            augmentation.central_window(image.shape, size),
            augmentation.random_window(image.shape, (0, number), size),
        ):
            ours = augmentation.cut(image, window, size).numpy()
            np.testing.assert_allclose(ours, pillow_cut(image, window, size), atol=0.2)


def test_central_window_is_the_middle() -> None:
    window = augmentation.central_window((512, 1024, 3))
    np.testing.assert_allclose(window, (0.5, 16, 144))  # 256 x 512 once scaled


def test_decoding_the_crop_alone_changes_nothing_inside(photographs: list[Path]) -> None:
    for number, path in enumerate(photographs[:40]):
        encoded = tf.io.read_file(str(path))
        whole = tf.io.decode_jpeg(encoded, 3, dct_method=augmentation.DCT_METHOD)

        def choose(shape: tf.Tensor, number: int = number) -> augmentation.Window:
            return augmentation.random_window(shape, (5, number))

        expected = augmentation.cut(whole, choose(tf.shape(whole))).numpy()
        eager = augmentation.decode_cut(encoded, choose).numpy()
        np.testing.assert_allclose(eager[4:-4, 4:-4], expected[4:-4, 4:-4], atol=0.1)
        # At the rim the decoder has no neighbours to interpolate the colours from.
        assert np.abs(eager - expected).mean() < 0.05
    dataset = tf.data.Dataset.from_tensors(encoded).map(
        lambda encoded: augmentation.decode_cut(encoded, choose)
    )
    np.testing.assert_allclose(dataset.get_single_element(), eager, atol=1e-3)


@pytest.mark.parametrize(
    ("mode", "format_"),
    [("RGB", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("L", "PNG"), ("L", "JPEG"), ("CMYK", "JPEG")],
)
def test_other_encodings(photographs: list[Path], mode: str, format_: str) -> None:
    picture = Image.open(photographs[3]).convert("RGB").resize((90, 70)).convert(mode)
    encoded = io.BytesIO()
    picture.save(encoded, format_)
    out = augmentation.central(encoded.getvalue(), 56).numpy()
    assert out.shape == (56, 56, 3)
    pixels = np.asarray(Image.open(io.BytesIO(encoded.getvalue())).convert("RGB"))
    expected = pillow_cut(pixels, augmentation.central_window(pixels.shape, 56), 56)
    assert np.abs(out - expected).mean() < 2.0


def test_random_mirror() -> None:
    image = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    outs = seeds(400).map(lambda seed: augmentation.random_mirror(image, seed)).batch(400)
    outs = outs.get_single_element().numpy()
    as_is, mirrored = ((outs == x).all(axis=(1, 2, 3)) for x in (image, image[:, ::-1]))
    assert (as_is ^ mirrored).all()
    assert 150 < mirrored.sum() < 250
    np.testing.assert_array_equal(augmentation.random_mirror(image, (7, 0)), outs[0])


def test_random_lighting_has_the_covariance_of_its_components() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (3, 5, 3)).astype(np.float32)
    count = 20_000
    outs = seeds(count).map(lambda seed: augmentation.random_lighting(image, seed)).batch(count)
    outs = outs.get_single_element().numpy()
    colours = outs - image  # (count, 3, 5, 3)
    np.testing.assert_allclose(colours, colours[:, :1, :1].repeat(3, 1).repeat(5, 2), atol=1e-4)
    values, vectors = np.linalg.eigh(np.cov(colours[:, 0, 0].T))  # in rising order
    # Of channels 0..1 and sigma 1, as published: 0.2175, 0.0188, 0.0045.
    deviations = np.sqrt(values)[::-1] / 255 / 0.1
    np.testing.assert_allclose(deviations, (0.2175, 0.0188, 0.0045), rtol=0.03)
    brightness = vectors[:, -1] * np.sign(vectors[0, -1])
    np.testing.assert_allclose(brightness, (0.5675, 0.5808, 0.5836), atol=2e-3)
    np.testing.assert_allclose(augmentation.random_lighting(image, (7, 0)), outs[0], atol=1e-4)


def test_imagenet_is_a_window_mirrored_and_coloured(photographs: list[Path]) -> None:
    encoded = photographs[0].read_bytes()
    dataset = seeds(8).map(lambda seed: augmentation.imagenet(encoded, seed, 64))
    outs = list(dataset.as_numpy_iterator())
    again = augmentation.imagenet(encoded, (7, 3), 64)
    np.testing.assert_allclose(outs[3], again, atol=1e-3)
    assert len({out.tobytes() for out in outs}) == 8
    assert all(out.shape == (64, 64, 3) and out.dtype == np.float32 for out in outs)
