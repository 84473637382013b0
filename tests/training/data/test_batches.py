"""Batches as functions of (split, seed, step); every image once; the files' real errors."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data import datasets, pixel_mean, random_order
from training.data.batches import eval_batches, train_batches
from training.data.decoding import cropping
from training.data.draws import Draws
from training.data.splits import ArraySplit, FileSplit, RecordSplit
from training.data.streams import photographs as streams


def numbered(n: int, size: int = 2) -> ArraySplit:
    """n images, all different, labelled 0..n-1."""
    images = np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    return ArraySplit(images, np.arange(n, dtype=np.int32))


def file_split(paths: list[Path]) -> FileSplit:
    return FileSplit(
        np.array([str(p) for p in paths], object), np.arange(len(paths), dtype=np.int32)
    )


def train(split, *, augmentation="none", batch_size=2, seed=0, **arguments) -> tf.data.Dataset:
    """`train_batches` by the recipe's names."""
    draws = Draws(split.examples, batch_size, augmentation, seed)
    return train_batches(split, draws, **arguments)


def take(batches: tf.data.Dataset, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(itertools.islice(batches.as_numpy_iterator(), count))


def assert_same(one: list, other: list) -> None:
    for (images, labels), (images_, labels_) in zip(one, other, strict=True):
        np.testing.assert_array_equal(images, images_)
        np.testing.assert_array_equal(labels, labels_)


def assert_once_per_epoch(labels: np.ndarray, n: int) -> None:
    for start in range(0, len(labels) - n + 1, n):
        assert sorted(labels[start : start + n]) == list(range(n))


@settings(max_examples=8)
@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 20), st.integers(0, 2**31), st.data())
def test_a_stream_resumes_anywhere(n: int, batch: int, first: int, seed: int, data) -> None:
    augmentation = data.draw(st.sampled_from(["none", "crop", "cifar"]))
    split = numbered(n)
    arguments = {
        "augmentation": augmentation,
        "batch_size": batch,
        "mean": pixel_mean.pixel_mean(split),
        "seed": seed,
    }
    count = -(-3 * n // batch) + first
    whole = take(train(split, **arguments), count)
    rest = take(train(split, **arguments, first_step=first), count - first)
    assert_same(whole[first:], rest)
    labels = np.concatenate([labels for _, labels in whole])
    assert_once_per_epoch(labels, n)
    if augmentation == "none":  # the right image with each label, minus the mean
        images = np.concatenate([images for images, _ in whole])
        expected = split.images[labels].astype(np.float64) - split.images.mean(axis=0)
        np.testing.assert_allclose(images, expected, atol=1e-3)


@pytest.mark.parametrize("n", [100, 1337, 45_000])
def test_the_orders_of_epochs_and_seeds_are_independent(n: int) -> None:
    orders = [np.arange(n)]
    for seed in range(3):
        orders += [random_order.places(n, seed, n * epoch, n) for epoch in range(4)]
    for one in orders:
        np.testing.assert_array_equal(np.sort(one), np.arange(n))
    for one, other in itertools.combinations(orders, 2):
        # Of independent orders: correlation 0 ± 1/sqrt(n), one image in the same place, ± 1.
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(n)
        assert (one == other).sum() < 10
    for one in orders[1:]:  # two neighbours stay so, in either direction, ± 1.4
        assert (np.abs(np.diff(one)) == 1).sum() < 12


def test_every_place_in_an_epoch_is_as_likely() -> None:
    n, epochs = 8, 1000
    orders = random_order.places(n, 0, 0, n * epochs).reshape(epochs, n)
    counts = np.stack([(orders == label).sum(axis=0) for label in range(n)])
    expected = epochs / n
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    degrees = (n - 1) ** 2
    assert abs(chi_squared - degrees) < 4 * np.sqrt(2 * degrees)


def test_images_are_padded_by_the_mean_and_augmented_differently_in_each_epoch() -> None:
    split = numbered(1, size=8)
    batches = train(
        split, augmentation="cifar", batch_size=16, mean=np.full((8, 8, 3), 1000.0), seed=0
    )
    images = np.concatenate([images for images, _ in take(batches, 2)])
    assert len({image.tobytes() for image in images}) > 20
    assert set(np.unique(images)) <= {0.0, *(np.unique(split.images) - 1000.0)}


def test_no_tuner_holds_up_the_end_of_a_stream() -> None:
    """It sleeps for as long as it has run, and whatever ends meanwhile waits for it to wake."""
    split = numbered(4)
    stream = train(split, augmentation="none", batch_size=2, mean=0.0, seed=0)
    for batches in (stream, eval_batches(split, batch_size=2)):
        assert batches.options().autotune.enabled is False
        assert batches.options().deterministic is True


def test_static_shapes_and_types() -> None:
    split = numbered(5)
    mean = pixel_mean.pixel_mean(split)
    stream = train(split, augmentation="cifar", batch_size=4, mean=mean, seed=0)
    assert stream.element_spec == (
        tf.TensorSpec((4, 2, 2, 3), tf.float32),
        tf.TensorSpec((4,), tf.int32),
    )
    assert stream.cardinality() == tf.data.INFINITE_CARDINALITY
    evaluated = eval_batches(split, batch_size=4, mean=mean)
    assert evaluated.element_spec == (
        tf.TensorSpec((None, 2, 2, 3), tf.float32),
        tf.TensorSpec((None,), tf.int32),
    )
    assert len(evaluated) == 2


@settings(max_examples=8)
@given(st.integers(1, 30), st.integers(1, 12))
def test_evaluation_sees_every_image_once_in_order(n: int, batch: int) -> None:
    split = numbered(n)
    raw = list(eval_batches(split, batch_size=batch).as_numpy_iterator())
    assert [len(labels) for _, labels in raw] == [batch] * (n // batch) + [n % batch] * (
        n % batch > 0
    )
    np.testing.assert_array_equal(np.concatenate([images for images, _ in raw]), split.images)
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in raw]), split.labels)
    mean = pixel_mean.pixel_mean(split)
    centred = list(eval_batches(split, batch_size=batch, mean=mean).as_numpy_iterator())
    np.testing.assert_array_equal(centred[0][0], raw[0][0] - mean)


def test_pixel_mean_is_exact_over_many_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2500, 3, 4, 1), dtype=np.uint8)
    mean = pixel_mean.pixel_mean(ArraySplit(images, np.zeros(2500, np.int32)))
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, images.astype(np.float64).mean(axis=0), rtol=1e-7)


def test_photographs_have_imagenets_channel_mean(photographs: list[Path]) -> None:
    # Red, green, blue, as every port of the VGG nets subtracts it.
    mean = pixel_mean.pixel_mean(file_split(photographs[:2]))
    np.testing.assert_allclose(mean, [[[123.68, 116.779, 103.939]]], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augmentation": "imagenet"}, "photographs.*'cifar'"),
        ({"first_step": -1}, "first_step=-1"),
        ({"image_size": 224}, "image_size=224"),
        ({"split": numbered(0)}, "no images"),
    ],
)
def test_bad_arguments(changes: dict, message: str) -> None:
    arguments = {
        "split": numbered(3),
        "augmentation": "none",
        "batch_size": 2,
        "mean": np.zeros((2, 2, 3)),
        "seed": 0,
    }
    with pytest.raises(ValueError, match=message):
        train(**arguments | changes)


# Photographs


@pytest.mark.parametrize("name", ["imagenet", "cifar", "none"])
def test_files_resume_and_come_once_per_epoch(photographs: list[Path], name: str) -> None:
    split = file_split(photographs[:7])
    arguments = {"augmentation": name, "batch_size": 3, "mean": pixel_mean.pixel_mean(split)}
    arguments |= {"seed": 2**31, "image_size": 32}
    stream = train(split, **arguments)
    assert stream.element_spec[0] == tf.TensorSpec((3, 32, 32, 3), tf.float32)
    whole = take(stream, 7)
    assert_once_per_epoch(np.concatenate([labels for _, labels in whole]), 7)
    assert_same(whole[4:], take(train(split, **arguments, first_step=4), 3))
    by_label: dict[int, set[bytes]] = {}
    for images, labels in whole:
        for image, label in zip(images, labels, strict=True):
            by_label.setdefault(int(label), set()).add(image.tobytes())
    assert {len(views) for views in by_label.values()} == ({1} if name == "none" else {3})


def test_files_are_evaluated_on_their_central_crops(photographs: list[Path]) -> None:
    split = file_split(photographs[:5])
    mean = pixel_mean.pixel_mean(split)
    batches = eval_batches(split, batch_size=3, mean=mean)
    assert len(batches) == 2
    images, labels = (np.concatenate(part) for part in zip(*take(batches, 9), strict=True))
    np.testing.assert_array_equal(labels, range(5))
    for path, image in zip(photographs[:5], images, strict=True):
        expected = cropping.central(path.read_bytes()) - mean
        np.testing.assert_allclose(image, expected, atol=1e-3)


@pytest.mark.parametrize("damage", ["truncated", "text", "empty"])
def test_a_damaged_file_is_named(photographs: list[Path], tmp_path: Path, damage: str) -> None:
    bad = tmp_path / "holiday.jpg"
    whole = photographs[0].read_bytes()
    bad.write_bytes({"truncated": whole[: len(whole) // 2], "text": b"hello", "empty": b""}[damage])
    split = file_split([photographs[1], bad])
    arguments = {"batch_size": 2, "image_size": 32, "mean": pixel_mean.pixel_mean(split)}
    reason = {"truncated": "is damaged or cut off", "text": "is not JPEG", "empty": "is empty"}[
        damage
    ]
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"holiday\.jpg {reason}"):
        take(eval_batches(split, **arguments), 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"holiday\.jpg {reason}"):
        take(train(split, augmentation="imagenet", seed=0, **arguments), 1)


def test_a_file_that_went_is_named(photographs: list[Path], tmp_path: Path) -> None:
    gone = tmp_path / "holiday.jpg"
    shutil.copy(photographs[0], gone)
    batches = eval_batches(file_split([gone]), batch_size=1)
    gone.unlink()
    with pytest.raises(tf.errors.NotFoundError, match=r"holiday\.jpg"):
        take(batches, 1)


# Records


@pytest.mark.slow
@pytest.mark.parametrize("block", [2048, pytest.param(6, marks=pytest.mark.nightly)])
def test_records_resume_and_come_once_per_epoch(
    tiny_imagenet: tuple[Path, list[Path]], monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(streams, "SHUFFLE_BLOCK", block)
    data_dir, _ = tiny_imagenet
    split = datasets.load("imagenet2012", str(data_dir)).train
    assert isinstance(split, RecordSplit)
    arguments = {"augmentation": "imagenet", "batch_size": 8, "mean": pixel_mean.pixel_mean(split)}
    arguments |= {"seed": 1, "image_size": 32}
    whole = take(train(split, **arguments), 8)
    labels = np.concatenate([labels for _, labels in whole])[:60].reshape(3, 20)
    assert [len(set(epoch)) for epoch in labels] == [20, 20, 20]  # a class for each photograph
    assert len({tuple(sorted(epoch)) for epoch in labels}) == 1
    assert len({tuple(epoch) for epoch in labels}) == 3
    for first in (1, 5):
        rest = take(train(split, **arguments, first_step=first), 8 - first)
        assert_same(whole[first:], rest)


def test_records_hold_the_photographs(tiny_imagenet: tuple[Path, list[Path]]) -> None:
    data_dir, paths = tiny_imagenet
    dataset = datasets.load("imagenet2012", str(data_dir), held_out=5, seed=3)
    by_class = {dataset.class_names.index(path.parent.name): path for path in paths}
    seen = []
    for split, n in ((dataset.train, 15), (dataset.validation, 5)):
        images, labels = (
            np.concatenate(part)
            for part in zip(*take(eval_batches(split, batch_size=4), 9), strict=True)
        )
        assert len(labels) == split.examples == n
        seen += list(labels)
        for image, label in zip(images, labels, strict=True):
            expected = cropping.central(by_class[label].read_bytes())
            np.testing.assert_allclose(image, expected, atol=1e-3)
    assert sorted(seen) == sorted(by_class)  # train and validation: disjoint, and all
