"""Class folders as they are found on people's disks: what is taken, left out and refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from training.data import datasets
from training.data.folder import sample_images
from training.data.splits import Dataset

CLASSES = ("cat", "dog", "emu")
NUMBER = 6


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in CLASSES:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(NUMBER):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(
                tmp_path / "photos" / name / f"{number}.jpg"
            )
    return tmp_path / "photos"


def counts(dataset: Dataset) -> dict[str, int]:
    numbers = dataset.class_counts()
    return dict(zip(dataset.class_names, numbers["train"] + numbers["test"], strict=True))


def left_out(dataset: Dataset) -> set[tuple[str, int, str]]:
    return {(left.folder, left.files, left.reason) for left in dataset.left_out}


def converted(ending: str, kind: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for file in folder.glob("*.jpg"):
            Image.open(file).save(file.with_suffix(ending), kind)
            file.unlink()

    return change


def deeper(folder: Path) -> None:
    for number, file in enumerate(sorted(folder.glob("*.jpg"))):
        target = folder / "2024" / ("may", "June")[number % 2]
        target.mkdir(parents=True, exist_ok=True)
        file.rename(target / file.name)


def renamed(ending: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for file in sorted(folder.glob("*.jpg"))[: NUMBER // 2]:
            file.rename(file.with_suffix(ending))

    return change


def linked(folder: Path) -> None:
    shutil.move(folder, folder.parents[1] / "elsewhere")
    folder.symlink_to(folder.parents[1] / "elsewhere", target_is_directory=True)


def in_a_folder_called_like_a_file(folder: Path) -> None:
    (folder / "x.jpg").mkdir()
    for file in sorted(folder.glob("?.jpg"))[:2]:
        if file.is_file():
            file.rename(folder / "x.jpg" / file.name)


@pytest.mark.parametrize(
    "change",
    [
        *(
            converted(ending, kind)
            for ending, kind in ((".webp", "WEBP"), (".bmp", "BMP"), (".GIF", "GIF"), ("", "PNG"))
        ),
        deeper,
        renamed(".webp"),
        renamed(""),
        linked,
        in_a_folder_called_like_a_file,
    ],
)
def test_every_image_counts_wherever_it_lies_and_whatever_it_is_called(
    root: Path, change: Callable[[Path], None]
) -> None:
    change(root / "dog")
    dataset = datasets.load("folder", str(root))
    assert counts(dataset) == dict.fromkeys(CLASSES, NUMBER)
    assert dataset.left_out == ()
    assert list(dataset.train.paths) == sorted(dataset.train.paths)


@pytest.mark.parametrize("place", ["run", "runs/resnet20-folder-0"])
def test_a_run_in_the_folder_is_no_class(root: Path, place: str) -> None:
    before = datasets.load("folder", str(root))
    (root / place).mkdir(parents=True)
    (root / place / "job.json").write_text("{}")
    shutil.copy(root / "cat" / "0.jpg", root / place / "curve.png")
    after = datasets.load("folder", str(root))
    assert after.class_names == before.class_names
    assert {left.reason for left in after.left_out} <= {"a run of `train`", "an empty folder"}


def test_what_is_no_image_is_left_out_and_said(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(root / "cat", root / ".ipynb_checkpoints")
    shutil.copytree(root / "cat", root / "__MACOSX" / "cat")
    shutil.copytree(root / "cat", root / "dog" / ".thumbnails")
    for name in ("._0.jpg", ".DS_Store"):
        (root / "cat" / name).write_bytes(b"\xff\xd8\xff")
    (root / "cat" / "Thumbs.db").write_bytes(b"\xd0\xcf")
    (root / "dog" / "notes.txt").write_text("BMW seen in May")
    (root / "dog" / "7.jpg").write_bytes(b"")
    (root / "dog" / "more").mkdir()
    for number in range(3):
        (root / "dog" / "more" / f"{number}.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(9))
    (root / "dog" / "gone.jpg").symlink_to(root / "nowhere.jpg")
    os.mkfifo(root / "dog" / "pipe.jpg")  # must not be opened: that would wait for a writer
    shutil.copy(root / "cat" / "0.jpg", root / "cover.jpg")
    (root / "yak").mkdir()
    dataset = datasets.load("folder", str(root))
    assert counts(dataset) == dict.fromkeys(CLASSES, NUMBER)
    assert left_out(dataset) == {
        (".", 2, "hidden"),
        (".", 1, "in no class folder"),
        ("cat", 3, "hidden"),
        ("dog", 1, "hidden"),
        ("dog", 1, "not an image"),
        ("dog", 1, "empty"),
        ("dog", 1, "broken links"),
        ("dog", 1, "no regular file"),
        ("dog/more", 3, "HEIC, AVIF or a film, which is not read"),
        ("yak", 0, "an empty folder"),
    }
    assert "(files in all: 14)" in caplog.text
    assert "3 files in dog/more: HEIC, AVIF or a film, which is not read; " in caplog.text
    assert "yak: an empty folder" in caplog.text


def test_links_in_a_loop_end(root: Path) -> None:
    (root / "dog" / "around").symlink_to(root, target_is_directory=True)
    (root / "dog" / "self").symlink_to(root / "dog" / "self")
    dataset = datasets.load("folder", str(root))
    assert counts(dataset) == dict.fromkeys(CLASSES, NUMBER)
    assert left_out(dataset) == {
        ("dog", 1, "a link to a folder around it"),
        ("dog", 1, "broken links"),
    }


@pytest.mark.parametrize("split", [False, True])
def test_a_class_that_would_disappear_is_refused(root: Path, split: bool) -> None:
    if split:
        (root / "train").mkdir()
        for name in CLASSES:
            shutil.copytree(root / name, root / "test" / name)
            (root / name).rename(root / "train" / name)
        root_of_dog = root / "train" / "dog"
    else:
        root_of_dog = root / "dog"
    for file in root_of_dog.iterdir():
        file.write_bytes(b"II*\0" + bytes(50))
    with pytest.raises(ValueError, match=f"{root_of_dog} has no image.*6 files in .*dog: TIFF"):
        datasets.load("folder", str(root))


def test_images_outside_of_train_and_test_are_said(root: Path) -> None:
    (root / "train").mkdir()
    (root / "test").mkdir()
    for name in CLASSES:
        shutil.copytree(root / name, root / "test" / name)
        shutil.move(root / name, root / "train" / name)
    shutil.copytree(root / "test" / "cat", root / "extra" / "cat")
    dataset = datasets.load("folder", str(root))
    assert (dataset.train.examples, dataset.test.examples) == (3 * NUMBER, 3 * NUMBER)
    assert left_out(dataset) == {("extra/cat", NUMBER, "in no class folder")}


def around(root: Path, *names: str) -> Path:
    """Moves the class folders into each of some folders."""
    for name in names:
        for class_name in CLASSES:
            shutil.copytree(root / class_name, root / name / class_name)
    for class_name in CLASSES:
        shutil.rmtree(root / class_name)
    return root


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (("train", "valid"), {"train", "test"}),
        (("train", "valid", "test"), {"train", "validation", "test"}),
        (("Training", "TESTING"), {"train", "test"}),
    ],
)
def test_split_folders_are_known_by_usual_names(
    root: Path, names: tuple[str, ...], roles: set[str]
) -> None:
    dataset = datasets.load("folder", str(around(root, *names)))
    assert dataset.class_names == CLASSES
    assert dataset.splits.keys() == roles
    assert dataset.left_out == ()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train", "val", "validation"), "has val/ and validation/: rename or merge"),
        (("train", "unseen"), "has cat, dog, emu in train/ and in unseen/. If these are"),
        (("training_set", "test_set"), "in training_set/ and in test_set/. If these are"),
        (("train",), "has train/ but neither test/"),
    ],
)
def test_folders_that_may_be_splits_or_classes_are_refused(
    root: Path, names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        datasets.load("folder", str(around(root, *names)))


def test_classes_may_be_called_train_and_test(root: Path) -> None:
    (root / "cat").rename(root / "train")
    (root / "dog").rename(root / "test")
    deeper(root / "emu")
    assert datasets.load("folder", str(root)).class_names == ("emu", "test", "train")
    (root / "test").rename(root / "dog")
    deeper(root / "train")
    with pytest.raises(ValueError, match="has 2024 in train/ and in emu/"):
        datasets.load("folder", str(root))


def test_classes_that_are_spelt_in_two_ways_are_said(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Copies between systems that ignore case, or store accents otherwise, give such folders."""
    for name in ("Cat", "re\u0301gime", "r\u00e9gime"):
        shutil.copytree(root / "cat", root / name)
    assert len(datasets.load("folder", str(root)).class_names) == 6
    assert "several classes are called cat in" in caplog.text
    assert "several classes are called r\u00e9gime in" in caplog.text


def test_sample_images_are_found_by_content(root: Path) -> None:
    converted("", "WEBP")(root / "dog")
    found = sample_images.encoded(root, 100, 8, 3)
    assert len(found) == 3 * NUMBER
    assert sum(one.startswith(b"RIFF") for one in found) == NUMBER
    empty = root / "dog" / "text"
    empty.mkdir()
    (empty / "a.jpg").write_text("text")
    with pytest.raises(ValueError, match=r"no JPEG.*\(1 file: not an image\)"):
        sample_images.encoded(empty, 1, 8, 3)
