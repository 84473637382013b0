"""The training, validation and test images of a folder, and folders that cannot give them."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest
import tensorflow_datasets as tfds
from PIL import Image

from training.data import datasets
from training.data.splits import FileSplit


def fill(folder: Path, count: int, colour: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        suffix = ("jpg", "PNG", "JPEG")[number % 3]
        Image.new("RGB", (20, 10), (colour, number, 0)).save(folder / f"{number}.{suffix}")


def named(split: FileSplit, names: tuple[str, ...]) -> set[tuple[str, str]]:
    return {
        (str(path), names[label]) for path, label in zip(split.paths, split.labels, strict=True)
    }


@pytest.mark.parametrize("test", ["test", "val", "validation"])
def test_folder_of_splits_is_what_image_folder_reads(tmp_path: Path, test: str) -> None:
    for split, count in (("train", 4), (test, 2)):
        for colour, name in enumerate(("cat", "ant")):
            fill(tmp_path / split / name, count + colour, colour)
    (tmp_path / "train" / "cat" / "notes.txt").write_text("not an image")
    dataset = datasets.load("folder", str(tmp_path))
    assert dataset.class_names == ("ant", "cat")
    builder = tfds.ImageFolder(str(tmp_path))
    for name, split in (("train", dataset.train), (test, dataset.test)):
        theirs = {
            (example["image/filename"].decode(), dataset.class_names[example["label"]])
            for example in tfds.as_numpy(builder.as_dataset(split=name))
        }
        assert named(split, dataset.class_names) == theirs
        assert split.examples == len(theirs)
    assert dataset.validation is None
    assert datasets.load("folder", str(tmp_path), held_out=3).validation.examples == 3


def test_folder_with_three_splits(tmp_path: Path) -> None:
    for count, split in enumerate(("train", "val", "test"), start=1):
        for colour, name in enumerate(("ant", "cat")):
            fill(tmp_path / split / name, count, colour)
    dataset = datasets.load("folder", str(tmp_path))
    splits = (dataset.train, dataset.validation, dataset.test)
    assert [split.examples for split in splits] == [2, 4, 6]


def test_photographs_without_splits(
    photographs: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for number, path in enumerate(photographs[:60]):
        target = tmp_path / "all" / f"class{number % 3}" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    dataset = datasets.load("folder", str(tmp_path / "all"))
    assert "held out as test images" in caplog.text
    assert dataset.class_names == ("class0", "class1", "class2")
    train, test = (named(split, dataset.class_names) for split in (dataset.train, dataset.test))
    assert not train & test
    found = (tmp_path / "all").glob("*/*")
    assert train | test == {(str(path), path.parent.name) for path in found}
    # The draw is the names' alone: it stays when the folder moves.
    (tmp_path / "all").rename(tmp_path / "moved")
    moved = datasets.load("folder", str(tmp_path / "moved"))
    assert {Path(path).name for path in moved.test.paths} == {Path(path).name for path, _ in test}


def test_one_image_of_each_class_cannot_be_tested(shared_data: Path) -> None:
    with pytest.raises(ValueError, match="no test images, to which a class of at least two"):
        datasets.load("folder", str(shared_data / "imagenet_sample"))


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for colour, name in enumerate(("train", "plane")):
        fill(tmp_path / name, 20, colour)
    assert datasets.load("folder", str(tmp_path)).class_names == ("plane", "train")


def test_folders_that_will_not_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--data-dir"):
        datasets.load("folder")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        datasets.load("folder", str(tmp_path / "nowhere"))

    root = tmp_path / "images"
    root.mkdir()
    with pytest.raises(ValueError, match="no training images"):
        datasets.load("folder", str(root))
    fill(root / "ant", 30, 0)
    with pytest.raises(ValueError, match="one class only, ant"):
        datasets.load("folder", str(root))

    split = tmp_path / "split"
    fill(split / "train" / "ant", 2, 0)
    fill(split / "train" / "bee", 2, 0)
    with pytest.raises(ValueError, match=f"neither test/ nor val/.*{split / 'train'}"):
        datasets.load("folder", str(split))
    fill(split / "test" / "cat", 2, 0)
    with pytest.raises(ValueError, match="no training images for the images in test/cat"):
        datasets.load("folder", str(split))
    shutil.rmtree(split / "test" / "cat")
    (split / "test" / "ant").mkdir()
    with pytest.raises(ValueError, match="no test images"):
        datasets.load("folder", str(split))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="this user may read anything")
@pytest.mark.parametrize("closed", [".", "train", "test", "test/ant"])
def test_unreadable_folders(tmp_path: Path, closed: str) -> None:
    root = tmp_path / "images"
    for split in ("train", "test"):
        for colour, name in enumerate(("ant", "bee")):
            fill(root / split / name, 2, colour)
    (root / closed).chmod(0)
    try:
        with pytest.raises(OSError, match="images"):
            datasets.load("folder", str(root))
    finally:
        (root / closed).chmod(0o700)
