"""Draws, crops and files of the data sets that lie on the device."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.config.recipes import Recipe
from training.data import array_files, datasets
from training.data.batch_augmentation import crop
from training.data.draws import Draws
from training.data.splits import ArraySplit, Dataset
from training.trainer.backends.jax_torch_backend import EvaluationBatches, PlannedRate
from training.trainer.backends.several_steps import Source
from training.trainer.callbacks.step_counter import StepCounter
from training.trainer.learning_rate import Controller


def split(n: int, height: int = 5, width: int = 6) -> ArraySplit:
    images = np.random.default_rng(n).integers(0, 256, (n, height, width, 3), np.uint8)
    return ArraySplit(images, np.arange(n, dtype=np.int32))


# Batches


def test_the_middle_crop_is_the_image() -> None:
    images = split(3).images.astype("f4")
    middle = np.full(3, 4, np.int32)
    np.testing.assert_array_equal(crop(images, middle, middle, np.zeros(3, bool), 4), images)
    flipped = np.asarray(crop(images, middle, middle, np.ones(3, bool), 4))
    np.testing.assert_array_equal(flipped, images[:, :, ::-1])


@pytest.mark.parametrize("size", [1, 4, 7, 9, 20])
def test_evaluation_sees_every_image_once_in_order(size: int) -> None:
    data = split(9)
    batches = list(EvaluationBatches(data, size, np.float32(2)))
    assert len(batches) == -(-9 // size)
    images, labels = (np.concatenate([np.asarray(b[i]) for b in batches]) for i in (0, 1))
    np.testing.assert_array_equal(labels, data.labels)
    np.testing.assert_array_equal(images, data.images.astype("f4") - 2)


# Plans


@settings(max_examples=30)
@given(
    total=st.integers(1, 40),
    epoch_steps=st.integers(1, 15),
    most=st.integers(1, 9),
    warm_after=st.integers(0, 20),
)
def test_plans_make_every_step_once_at_its_own_rate(
    total: int, epoch_steps: int, most: int, warm_after: int
) -> None:
    recipe = Recipe(schedule="one_cycle", warmup_fraction=0.3, warmup_learning_rate=0.01)
    counter = StepCounter(total, epoch_steps)
    rate = PlannedRate(counter, Controller(recipe, total))
    draws = Draws(50, 3, "cifar", 1)
    alone = Controller(recipe, total)  # of a run that makes one step at a time
    at_once = 1
    while counter.step < total:
        if counter.step % epoch_steps == 0:
            at_once = 1 if rate.controller.warming_up else most
        first = counter.step
        plan = Source(draws, rate, most, at_once).plan()
        steps = int(plan.steps)
        assert first // epoch_steps == (first + steps - 1) // epoch_steps  # within an epoch
        assert len(plan.rates) == len(plan.draw.places) == most
        for i in range(steps):
            assert plan.rates[i] == np.float32(alone.rate(first + i))
            for one, other in zip(plan.draw, draws.batch(first + i), strict=True):
                np.testing.assert_array_equal(one[i], other)
            alone.after_step(0.9 if first + i < warm_after else 0.5)
        counter.on_train_batch_end(0)
        rate.on_train_batch_end(0, {"accuracy": 0.1 if counter.step <= warm_after else 0.5})
    assert counter.step == total


# Files


@pytest.fixture
def whole() -> Dataset:
    return Dataset("cifar10", ("cat", "dog"), (5, 6, 3), split(50), None, split(21))


def test_parts_put_together_are_the_data_set(whole: Dataset, tmp_path: Path) -> None:
    paths = array_files.write(whole, tmp_path / "new", max_mib=0.002)
    assert len(paths) == 4  # 71 images of 90 bytes and a label
    assert max(path.stat().st_size for path in paths) < 3500  # and what a zip file needs
    found = datasets.load("cifar10", str(tmp_path / "new"), held_out=10)
    assert (found.class_names, found.image_shape) == (("cat", "dog"), (5, 6, 3))
    assert (found.train.examples, found.validation.examples) == (40, 10)
    np.testing.assert_array_equal(found.test.images, whole.test.images)
    np.testing.assert_array_equal(found.test.labels, whole.test.labels)
    assert found.test.labels.dtype == np.int32
    rest = array_files.read("cifar10", str(tmp_path / "new")).train
    np.testing.assert_array_equal(rest.images, whole.train.images)


def test_nothing_is_overwritten(whole: Dataset, tmp_path: Path) -> None:
    array_files.write(whole, tmp_path)
    with pytest.raises(FileExistsError, match="remove all parts"):
        array_files.write(whole, tmp_path, 0.002)


def test_missing_mixed_and_damaged_parts_are_named(whole: Dataset, tmp_path: Path) -> None:
    paths = array_files.write(whole, tmp_path, 0.002)
    content = paths[1].read_bytes()
    paths[1].unlink()
    with pytest.raises(FileNotFoundError, match=r"00000-of-00004.*one whole set"):
        datasets.load("cifar10", str(tmp_path))
    paths[1].write_bytes(content[:-400])
    with pytest.raises(OSError, match=r"00001-of-00004\.npz is damaged"):
        datasets.load("cifar10", str(tmp_path))
    paths[1].write_bytes(content)
    (tmp_path / "cifar10-00000-of-00001.npz").write_bytes(content)
    with pytest.raises(FileNotFoundError, match="nothing of another"):
        datasets.load("cifar10", str(tmp_path))


def test_floats_and_other_shapes_are_refused(whole: Dataset, tmp_path: Path) -> None:
    (path,) = array_files.write(whole, tmp_path)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **(arrays | {"x_test": arrays["x_test"] / 255}))
    with pytest.raises(OSError, match=r"x_test must be uint8 .*float64 \(21, 5, 6, 3\)"):
        datasets.load("cifar10", str(tmp_path))


def test_only_whole_data_sets_of_arrays_are_written(tmp_path: Path) -> None:
    photographs = Dataset("folder", ("a", "b"), None, SimpleNamespace(), None, SimpleNamespace())
    with pytest.raises(ValueError, match="cifar10 and digits"):
        array_files.write(photographs, tmp_path)
    with pytest.raises(ValueError, match="no image"):
        array_files.write(
            Dataset("digits", ("a",), (5, 6, 3), split(3), None, split(1)), tmp_path, 1e-5
        )
