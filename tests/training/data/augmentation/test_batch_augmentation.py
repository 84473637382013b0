"""Crops of whole batches, and the one stream of random numbers, on every Keras backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from launch import finish, run

from training.data.augmentation.batch_augmentation import augmented, crop
from training.data.draws import Draws

EXAMPLES, BATCH, STEPS, FIRST = 21, 8, 4, 1  # the steps' batches cross the border of two epochs

# Writes the training batches of the backend that KERAS_BACKEND names.
BATCHES = f"""
import itertools, sys, keras, numpy as np
from training.data.draws import Draws
from training.data.splits import ArraySplit
images, labels, mean = map(np.load, sys.argv[1:4])
draws = Draws({EXAMPLES}, {BATCH}, "cifar", seed=3)
split = ArraySplit(images, labels)
if keras.backend.backend() == "tensorflow":
    from training.data.batches import train_batches
    stream = train_batches(split, draws, mean=mean, first_step={FIRST}).as_numpy_iterator()
    batches = list(itertools.islice(stream, {STEPS}))
else:
    from training.trainer.backends.several_steps import ArraySource
    images, labels = map(keras.ops.convert_to_tensor, (images, labels))
    source = ArraySource(draws, None, 1, 1, images=images, labels=labels, mean=mean)
    batches = [source.batch(images, labels, draws.batch(step))
               for step in range({FIRST}, {FIRST + STEPS})]
np.savez(sys.argv[4], *(keras.ops.convert_to_numpy(part) for batch in batches for part in batch))
"""


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


def by_hand(image: np.ndarray, top: int, left: int, mirrored: bool, padding: int) -> np.ndarray:
    """One crop of one image (H, W, C), pixel by pixel."""
    height, width, _ = image.shape
    out = np.zeros_like(image)
    for row, column in np.ndindex(height, width):
        to_left = width - 1 - column if mirrored else column
        y, x = row + top - padding, to_left + left - padding
        if 0 <= y < height and 0 <= x < width:
            out[row, column] = image[y, x]
    return out


@pytest.mark.parametrize("padding", [0, 2])
def test_alternate_epochs_mirror_the_other_images(padding: int) -> None:
    examples, batch = 200, 30  # batches cross the borders of epochs
    draws = Draws(examples, batch, "cifar", 5, crop_padding=padding, alternate_mirror=True)
    mirrored = np.full((4, examples), -1)  # of each epoch, each image
    for step in range(4 * examples // batch):
        draw = draws.batch(step)
        epochs = np.arange(step * batch, (step + 1) * batch) // examples
        mirrored[epochs, draw.places] = draw.mirrored
        assert draw.top.max() <= 2 * padding
    assert 60 < mirrored[0].sum() < 140  # of 200 fair coins, 5.6 standard deviations
    np.testing.assert_array_equal(mirrored[1], 1 - mirrored[0])
    np.testing.assert_array_equal(mirrored[2, mirrored[2] >= 0], mirrored[0, mirrored[2] >= 0])
    image = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1)
    one = draws.batch(0)._replace(top=one_place(padding), left=one_place(padding))
    seen, _ = augmented(image, np.zeros(1), one._replace(mirrored=np.array([True])), draws)
    np.testing.assert_array_equal(seen, image[:, :, ::-1])


def test_without_mirroring_an_image_is_only_shifted() -> None:
    draws = Draws(64, 64, "cifar", seed=1, mirror=False)
    draw = draws.batch(0)
    assert not draw.mirrored.any()
    image = np.arange(25, dtype=np.float32).reshape(1, 5, 5, 1)
    seen, _ = augmented(np.repeat(image, 64, axis=0), np.zeros(64), draw, draws)
    expected = [by_hand(image[0], *at, False, 4) for at in zip(draw.top, draw.left, strict=True)]
    np.testing.assert_array_equal(seen, expected)


def one_place(padding: int) -> np.ndarray:
    """The middle crop of one image."""
    return np.array([padding], np.int32)


@pytest.mark.parametrize(("padding", "augmentation"), [(4, "cifar"), (2, "crop")])
def test_every_crop_is_as_likely(padding: int, augmentation: str) -> None:
    mirror = augmentation == "cifar"
    image = np.arange(1, 6 * 7 * 2 + 1, dtype=np.float32).reshape(6, 7, 2)
    crops = shifted(image, padding, mirror)
    per_crop = 40
    batch = np.repeat(image[np.newaxis], per_crop * len(crops), axis=0)
    draw = Draws(len(batch), len(batch), augmentation, seed=1).batch(0)
    out = crop(batch, draw.top, draw.left, draw.mirrored if mirror else None, padding).numpy()
    matches = (out[:, np.newaxis] == crops).all(axis=(2, 3, 4))
    assert (matches.sum(axis=1) == 1).all()  # each is a crop, and only one
    counts = matches.sum(axis=0)
    # Chi-squared has as mean its degrees of freedom d and variance 2d.
    degrees = len(crops) - 1
    chi_squared = ((counts - per_crop) ** 2 / per_crop).sum()
    assert abs(chi_squared - degrees) < 4 * np.sqrt(2 * degrees)


@settings(max_examples=10)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.integers(0, 3), st.integers(0))
def test_crops_are_those_of_a_slow_loop(
    n: int, height: int, width: int, padding: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(n, height, width, 3)).astype(np.float32)
    top, left = rng.integers(2 * padding + 1, size=(2, n), dtype=np.int32)
    mirrored = rng.integers(2, size=n) == 1
    expected = [by_hand(*each, padding) for each in zip(images, top, left, mirrored, strict=True)]
    np.testing.assert_array_equal(crop(images, top, left, mirrored, padding), expected)
    inside = tf.data.Dataset.from_tensors((images, top, left, mirrored)).map(
        lambda *drawn: crop(*drawn, padding)
    )
    assert inside.element_spec.shape == images.shape
    np.testing.assert_array_equal(inside.get_single_element(), expected)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[np.ndarray]]:
    """Images, labels and mean as files; and the batches' images and labels, by a slow loop."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (EXAMPLES, 6, 5, 3), np.uint8)
    labels = rng.integers(0, 10, EXAMPLES, np.int32)
    mean = images.mean(axis=0).astype(np.float32)
    directory = tmp_path_factory.mktemp("images")
    files = []
    for name, array in (("images", images), ("labels", labels), ("mean", mean)):
        files.append(directory / f"{name}.npy")
        np.save(files[-1], array)
    draws = Draws(EXAMPLES, BATCH, "cifar", seed=3)
    expected: list[np.ndarray] = []
    for step in range(FIRST, FIRST + STEPS):
        places, *numbers = draws.batch(step)[:4]
        centred = images[places].astype(np.float32) - mean
        expected.append([by_hand(*each, 4) for each in zip(centred, *numbers, strict=True)])
        expected.append(labels[places])
    return files, expected


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_the_same_order_and_the_same_crops_on_every_backend(
    backend: str, saved: tuple[list[Path], list[np.ndarray]], tmp_path: Path
) -> None:
    files, expected = saved
    out = tmp_path / "batches.npz"
    pytest.importorskip(backend)
    finish(run(["-c", BATCHES, *map(str, files), str(out)], KERAS_BACKEND=backend))
    with np.load(out) as found:
        assert len(found.files) == len(expected)
        for name, array in zip(found.files, expected, strict=True):
            np.testing.assert_array_equal(found[name], array)


def test_places_bring_every_image_once_in_each_epoch() -> None:
    places = np.concatenate([Draws(10, 4, "none", 0).places(step) for step in range(5)])
    assert sorted(places[:10]) == sorted(places[10:]) == list(range(10))
    assert list(places[:10]) != list(places[10:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 2, "mixup", 0), "'mixup'.*none, crop, cifar, imagenet"),
        ((0, 2, "none", 0), "no images"),
        ((5, 0, "none", 0), "batch_size=0"),
    ],
)
def test_bad_arguments(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Draws(*arguments)
