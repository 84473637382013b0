"""Data sets of small images in NumPy's files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from training.data import datasets
from training.data.prepared import array_files
from training.data.splits import ArraySplit, Dataset


def split(n: int) -> ArraySplit:
    images = np.random.default_rng(n).integers(0, 256, (n, 5, 6, 3), np.uint8)
    return ArraySplit(images, np.arange(n, dtype=np.int32))


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
