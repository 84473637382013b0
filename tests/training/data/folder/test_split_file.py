"""Roles of a folder's images: drawn by class, written, read back, and compared."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from training.data import datasets, fingerprint
from training.data.batches import eval_batches
from training.data.folder import image_folder, split_file
from training.data.splits import ArraySplit, Dataset, FileSplit, joined

COUNTS = {"ant": 1, "bee": 2, "cat": 5, "dog": 40}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place, (name, count) in enumerate(COUNTS.items()):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(count):
            image = Image.new("RGB", (4, 4), (number, place, 0))
            image.save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def same_splits(one: Dataset, other: Dataset) -> bool:
    return one.class_names == other.class_names and all(
        (a.paths == b.paths).all() and (a.labels == b.labels).all()
        for a, b in zip(one.splits.values(), other.splits.values(), strict=True)
    )


@given(st.lists(st.text(min_size=1), min_size=1, max_size=40, unique=True))
def test_a_fifth_of_every_class_tests_and_every_class_trains(names: list[str]) -> None:
    held_out = image_folder.drawn_for_test(names)
    assert not held_out.all()
    assert held_out.any() == (len(names) > 1)
    assert abs(held_out.sum() - len(names) / 5) <= 0.8
    added = image_folder.drawn_for_test([*names, "one more"])[:-1]
    assert (added != held_out).sum() <= 1


def test_each_class_is_divided(folder: Path) -> None:
    dataset = datasets.load("folder", str(folder))
    counts = dataset.class_counts()
    assert (counts["train"] + counts["test"]).tolist() == list(COUNTS.values())
    assert (counts["train"] >= 1).all()
    assert (counts["test"] >= 1).tolist() == [False, True, True, True]


@pytest.mark.parametrize(("held_out", "most"), [(1, 1), (7, 7), (20, 20)])
def test_validation_images_are_drawn_from_each_class(
    folder: Path, held_out: int, most: int
) -> None:
    whole = datasets.load("folder", str(folder))
    dataset = datasets.load("folder", str(folder), held_out, seed=3)
    before, counts = whole.class_counts()["train"], dataset.class_counts()
    assert counts["validation"].sum() == held_out
    np.testing.assert_array_equal(counts["train"] + counts["validation"], before)
    assert (counts["train"] >= 1).all()
    # By largest remainders nobody is more than one image from the proportion.
    share = held_out * (before - 1) / (before - 1).sum()
    assert (np.abs(counts["validation"] - share) < 1).all()
    assert same_splits(dataset, datasets.load("folder", str(folder), held_out, seed=3))


def test_no_class_is_held_out_whole(folder: Path) -> None:
    images = datasets.load("folder", str(folder)).train.examples
    with pytest.raises(ValueError, match=f"at most {images - 4} can be held out.*={images - 3}"):
        datasets.load("folder", str(folder), held_out=images - 3)


def test_a_split_that_is_written_is_read_back(folder: Path, tmp_path: Path) -> None:
    dataset = datasets.load("folder", str(folder), held_out=6)
    split_file.write(dataset, tmp_path / "split.csv")
    again = datasets.load("folder", str(folder), split_file=tmp_path / "split.csv")
    assert same_splits(dataset, again)
    before = fingerprint.of(dataset)
    moved = folder.rename(tmp_path / "moved")
    there = datasets.load("folder", str(moved), split_file=tmp_path / "split.csv")
    assert fingerprint.of(there) == before


def test_one_s_own_split_file(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mine = tmp_path / "mine.csv"
    # As a spreadsheet writes it: a byte-order mark, columns in another order, one more of them.
    mine.write_text(
        "role,file,note,class\ntest,dog/3.png,,wolf\ntrain,dog/4.png,,wolf\ntrain,./cat/0.png,,cat\n",
        encoding="utf-8-sig",
    )
    dataset = datasets.load("folder", str(folder), split_file=mine)
    assert dataset.class_names == ("cat", "wolf")
    assert [Path(path).name for path in dataset.train.paths] == ["4.png", "0.png"]
    assert dataset.train.labels.tolist() == [1, 0]
    assert [Path(path).name for path in dataset.test.paths] == ["3.png"]
    assert dataset.validation is None
    assert {(left.folder, left.files) for left in dataset.left_out} == {
        ("ant", 1), ("bee", 2), ("cat", 4), ("dog", 38)
    }  # fmt: skip
    assert "38 files in dog: not in mine.csv" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,class\ncat/0.png,cat\n", "no column role"),
        ("file,class,role\ncat/9.png,cat,train\ndog/x.jpg,dog,test\n", "2 files.*cat/9.png, dog/x"),
        ("file,class,role\ncat/0.png,cat,learn\n", "line 2: the role is one of.*'learn'"),
        ("file,class,role\ncat/0.png,,train\n", "line 2 is not a file, its class"),
        (
            "file,class,role\ncat/0.png,cat,train\ncat/./0.png,cat,test\n",
            "line 3: cat/0.png.*twice",
        ),
        ("file,class,role\n../photos/cat/0.png,cat,train\n", "not a path relative"),
        ("file,class,role\ncat/0.png,cat,train\ndog/0.png,dog,test\n", "no training image of dog"),
        ("file,class,role\ncat/0.png,cat,train\n", "no row of the role test"),
        ("file,class,role\n", "no row of the role train"),
        ('file,class,role\n"cat/0.png' + 200_000 * "x", "line .* is not a row of a CSV file"),
    ],
)
def test_split_files_that_will_not_do(
    folder: Path, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        datasets.load("folder", str(folder), split_file=tmp_path / "split.csv")


def test_only_folders_take_a_split_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="digits has splits of its own"):
        datasets.load("digits", split_file=tmp_path / "split.csv")


def test_trained_on_counts_the_images_of_the_training(folder: Path, tmp_path: Path) -> None:
    dataset = datasets.load("folder", str(folder))
    recorded = split_file.rows(dataset)
    assert split_file.trained_on(recorded, dataset.test, folder) == 0
    assert split_file.trained_on(recorded, dataset.train, folder) == dataset.train.examples
    assert split_file.trained_on(recorded, dataset.train, tmp_path) == dataset.train.examples
    copy = folder / "cat" / "copy.png"
    shutil.copy(dataset.train.paths[0], copy)
    namesake = folder / "test" / Path(dataset.train.paths[0]).parent.name / "0.png"
    namesake.parent.mkdir(parents=True)
    Image.new("RGB", (4, 4), (77, 0, 0)).save(namesake)  # of the same size, another picture
    split = FileSplit(np.array([str(copy), str(namesake)], object), np.zeros(2, np.int32))
    assert split_file.trained_on(recorded, split, folder) == 1
    other = tmp_path / "other" / "dog"
    other.mkdir(parents=True)
    Image.new("RGB", (90, 90)).save(other / "0.png")  # another picture of that name
    split = FileSplit(np.array([str(other / "0.png")], object), np.zeros(1, np.int32))
    assert split_file.trained_on(recorded, split, folder) == 0


def test_names_in_another_encoding_are_written_and_read(folder: Path, tmp_path: Path) -> None:
    for number in range(5):
        name = os.fsdecode(b"%d\xff.png" % number)
        shutil.copy(folder / "cat" / f"{number}.png", folder / "cat" / name)
    dataset = datasets.load("folder", str(folder))
    split_file.write(dataset, tmp_path / "split.csv")
    again = datasets.load("folder", str(folder), split_file=tmp_path / "split.csv")
    assert fingerprint.of(again) == fingerprint.of(dataset)
    every = joined([dataset.train, dataset.test])
    assert any("\udcff" in path for path in every.paths)
    read = [labels for _, labels in eval_batches(every, batch_size=20, image_size=4)]
    np.testing.assert_array_equal(np.concatenate(read), every.labels)
    (folder / "cat").rename(folder / "cat\n")
    with pytest.raises(ValueError, match=r"'cat\\n'.* no list of classes can hold"):
        datasets.load("folder", str(folder))


def test_names_with_spaces_around_them_are_read_back_as_they_are(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "dog").rename(folder / " dog ")
    dataset = datasets.load("folder", str(folder))
    split_file.write(dataset, tmp_path / "split.csv")
    again = datasets.load("folder", str(folder), split_file=tmp_path / "split.csv")
    assert same_splits(dataset, again)
    text = "file,class,role\ncat/0.png, cat, train\nbee/0.png, bee , train\ncat/1.png,cat,test\n"
    (tmp_path / "mine.csv").write_text(text)
    by_hand = datasets.load("folder", str(folder), split_file=tmp_path / "mine.csv")
    assert by_hand.class_names == ("bee", "cat")


def test_a_fingerprint_names_what_differs(folder: Path) -> None:
    before = fingerprint.of(datasets.load("folder", str(folder)))
    assert fingerprint.differences(before, before) == []
    (folder / "dog").rename(folder / "emu")
    found = fingerprint.differences(before, fingerprint.of(datasets.load("folder", str(folder))))
    assert found[:2] == ["the class dog is gone", "the class emu is new"]
    (folder / "emu").rename(folder / "dog")
    Image.new("RGB", (90, 90)).save(folder / "dog" / "more.png")
    found = fingerprint.differences(before, fingerprint.of(datasets.load("folder", str(folder))))
    assert len(found) == 1
    assert "then" in found[0]
    (folder / "dog" / "more.png").unlink()
    image = next((folder / "dog").iterdir())
    image.write_bytes(image.read_bytes()[:-1] + b"\0")
    found = fingerprint.differences(before, fingerprint.of(datasets.load("folder", str(folder))))
    assert found == ["files of the same names and sizes hold something else"]


def test_arrays_are_told_apart_by_their_content() -> None:
    images, labels = np.zeros((4, 2, 2, 1), np.uint8), np.arange(4, dtype=np.int32)
    same = fingerprint.of_split(ArraySplit(images, labels))
    assert same == fingerprint.of_split(ArraySplit(images.copy(), labels.copy()))
    changed = images.copy()
    changed[3, 1, 1, 0] = 1
    assert fingerprint.of_split(ArraySplit(changed, labels)) != same
    assert fingerprint.of_split(ArraySplit(images, labels[::-1])) != same
