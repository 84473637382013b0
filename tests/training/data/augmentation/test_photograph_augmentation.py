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

from training.data.augmentation import photograph_augmentation
from training.data.decoding import cropping, image_decoding
from training.data.draws import Draws, PhotographDraw


def photographs_drawn(count: int) -> PhotographDraw:
    """The random numbers of `count` photographs."""
    return Draws(count, count, "imagenet", seed=7).photographs(0)


def test_random_windows_are_the_papers() -> None:
    shape = (300, 400, 3)
    drawn = photographs_drawn(5000).window
    windows = tf.data.Dataset.from_tensor_slices(drawn).map(
        lambda numbers: photograph_augmentation.random_window(shape, numbers)
    )
    scale, top, left = (part.numpy() for part in windows.batch(5000).get_single_element())
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
    eager = photograph_augmentation.random_window(shape, drawn[0])
    np.testing.assert_array_equal(eager, (scale[0], top[0], left[0]))


@settings(max_examples=30)
@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.sampled_from([32, 64, 224]),
    st.lists(st.floats(0, 1 - 2**-24, width=32), min_size=3, max_size=3),
)
def test_windows_lie_in_the_photograph(
    height: int, width: int, size: int, numbers: list[float]
) -> None:
    shape = (height, width, 3)
    for window in (
        photograph_augmentation.random_window(shape, np.float32(numbers), size),
        cropping.central_window(shape, 256 * size / 224, size),
    ):
        for place, extent in ((window.top, height), (window.left, width)):
            assert place >= 0
            assert place + size <= extent * window.scale + 0.01


def pillow_cut(image: np.ndarray, window: cropping.Window, size: int) -> np.ndarray:
    """The cut by Pillow, whose bilinear filter antialiases too."""
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
    drawn = photographs_drawn(6).window
    for number, path in enumerate(photographs[:6]):
        image = np.asarray(Image.open(path).convert("RGB"))
        for window in (
            cropping.central_window(image.shape, 256 * size / 224, size),
            photograph_augmentation.random_window(image.shape, drawn[number], size),
        ):
            ours = cropping.cut(image, window, size).numpy()
            np.testing.assert_allclose(ours, pillow_cut(image, window, size), atol=0.2)


def test_central_window_is_the_middle() -> None:
    window = cropping.central_window((512, 1024, 3), 256)
    np.testing.assert_allclose(window, (0.5, 16, 144))  # 256 x 512 once scaled


def test_decoding_the_crop_alone_changes_nothing_inside(photographs: list[Path]) -> None:
    drawn = photographs_drawn(40).window
    for number, path in enumerate(photographs[:40]):
        encoded = tf.io.read_file(str(path))
        whole = image_decoding.decode(encoded)

        def choose(shape: tf.Tensor, number: int = number) -> cropping.Window:
            return photograph_augmentation.random_window(shape, drawn[number])

        expected = cropping.cut(whole, choose(tf.shape(whole))).numpy()
        eager = cropping.decode_cut(encoded, choose).numpy()
        np.testing.assert_allclose(eager[4:-4, 4:-4], expected[4:-4, 4:-4], atol=0.1)
        # At the rim the decoder has no neighbours to interpolate the colours from.
        assert np.abs(eager - expected).mean() < 0.05
    dataset = tf.data.Dataset.from_tensors(encoded).map(
        lambda encoded: cropping.decode_cut(encoded, choose)
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
    out = cropping.central(encoded.getvalue(), 56).numpy()
    assert out.shape == (56, 56, 3)
    pixels = np.asarray(Image.open(io.BytesIO(encoded.getvalue())).convert("RGB"))
    expected = pillow_cut(pixels, cropping.central_window(pixels.shape, 64, 56), 56)
    assert np.abs(out - expected).mean() < 2.0


def test_half_of_the_photographs_are_mirrored() -> None:
    image = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    mirrored = photographs_drawn(400).mirrored
    assert 150 < mirrored.sum() < 250
    for flag, expected in ((True, image[:, ::-1]), (False, image)):
        np.testing.assert_array_equal(photograph_augmentation.mirror(image, flag), expected)


def test_lighting_has_the_covariance_of_its_components() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (3, 5, 3)).astype(np.float32)
    drawn = photographs_drawn(20_000).lighting
    outs = tf.data.Dataset.from_tensor_slices(drawn).map(
        lambda strengths: photograph_augmentation.light(image, strengths)
    )
    outs = outs.batch(len(drawn)).get_single_element().numpy()
    colours = outs - image  # (count, 3, 5, 3)
    np.testing.assert_allclose(colours, colours[:, :1, :1].repeat(3, 1).repeat(5, 2), atol=1e-4)
    values, vectors = np.linalg.eigh(np.cov(colours[:, 0, 0].T))  # in rising order
    # Of channels 0..1 and sigma 1, as published: 0.2175, 0.0188, 0.0045.
    deviations = np.sqrt(values)[::-1] / 255 / 0.1
    np.testing.assert_allclose(deviations, (0.2175, 0.0188, 0.0045), rtol=0.03)
    brightness = vectors[:, -1] * np.sign(vectors[0, -1])
    np.testing.assert_allclose(brightness, (0.5675, 0.5808, 0.5836), atol=2e-3)


def test_imagenet_is_a_window_mirrored_and_coloured(photographs: list[Path]) -> None:
    encoded = photographs[0].read_bytes()
    drawn = photographs_drawn(8)
    dataset = tf.data.Dataset.from_tensor_slices(drawn).map(
        lambda numbers: photograph_augmentation.imagenet(encoded, numbers, 64)
    )
    outs = list(dataset.as_numpy_iterator())
    again = photograph_augmentation.imagenet(
        encoded, PhotographDraw(*(part[3] for part in drawn)), 64
    )
    np.testing.assert_allclose(outs[3], again, atol=1e-3)
    assert len({out.tobytes() for out in outs}) == 8
    flagged = PhotographDraw(*(part[drawn.mirrored][0] for part in drawn))
    as_is, mirrored = (
        photograph_augmentation.imagenet(encoded, flagged, 64, mirrors) for mirrors in (False, True)
    )
    np.testing.assert_array_equal(as_is, mirrored[:, ::-1])
    assert all(out.shape == (64, 64, 3) and out.dtype == np.float32 for out in outs)
