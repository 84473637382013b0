"""A folder of class folders of photographs as a data set."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from training.data.download import quiet
from training.data.splits import Dataset, FileSplit, subset

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")  # what tfds.ImageFolder takes for an image


def load(data_dir: str | None) -> Dataset:
    """DIR/train/<class>/* and DIR/test (or val, validation), or DIR/<class>/*.

    Raises:
        ValueError: If the folder is not given, or its folders are no classes.
        OSError: If it is missing or unreadable.
    """
    if data_dir is None:
        raise ValueError("The data set `folder` needs --data-dir: the folder of class folders.")
    root = Path(data_dir).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root} is not a directory; --data-dir names one of class folders."
        )
    train_dir = root / "train"
    in_splits = train_dir.is_dir() and any(entry.is_dir() for entry in train_dir.iterdir())
    dataset = _split_folders(root) if in_splits else _class_folders(root)
    for role, split in (("training", dataset.train), ("test", dataset.test)):
        if split.examples == 0:
            raise ValueError(f"{root} has no {role} images ({_EXPECTED}).")
    if len(dataset.class_names) < 2:
        raise ValueError(
            f"{root} has images of one class only, {dataset.class_names[0]} ({_EXPECTED})."
        )
    return dataset


_EXPECTED = (
    "expected: <class>/* or train/<class>/* and test/<class>/*, two classes at least, files "
    f"ending in {', '.join(IMAGE_SUFFIXES)}"
)


def _split_folders(root: Path) -> Dataset:
    try:
        with quiet():
            builder = tfds.ImageFolder(str(root))
    except tf.errors.OpError as error:
        raise OSError(f"{root} cannot be read: {error.message}") from error
    given = [name for name in ("test", "val", "validation") if name in builder.info.splits]
    if not given:
        raise ValueError(
            f"{root} has train/ but neither test/ nor val/ nor validation/. Add one, or give "
            f"--data-dir {root / 'train'} to hold out a fifth of its images."
        )
    names = builder.info.features["label"].names
    # Folders outside train/ may be no classes at all; those of the test images must be.
    class_names = [name for name in names if _images(root / "train" / name)]
    unknown = [
        f"{split}/{name}"
        for split in given
        for name in set(names) - set(class_names)
        if _images(root / split / name)
    ]
    if unknown:
        raise ValueError(f"{root} has no training images for the images in {', '.join(unknown)}.")
    train, test = (_files(root / split, class_names) for split in ("train", given[0]))
    validation = _files(root / given[1], class_names) if given[1:] else None
    return Dataset("folder", tuple(class_names), None, train, validation, test)


def _class_folders(root: Path) -> Dataset:
    class_names = [entry.name for entry in sorted(root.iterdir()) if _images(entry)]
    every = _files(root, class_names)
    # By name, so that an image keeps its side when others are added.
    relative = [Path(path).relative_to(root).as_posix() for path in every.paths]
    held = np.array([hashlib.sha256(path.encode()).digest()[0] % 5 == 0 for path in relative], bool)
    train, test = subset(every, ~held), subset(every, held)
    logger.info(
        "%s: no train/ and test/ in it; %d of its %d images are held out as test images",
        root,
        test.examples,
        every.examples,
    )
    return Dataset("folder", tuple(class_names), None, train, None, test)


def _files(folder: Path, class_names: list[str]) -> FileSplit:
    found = [
        (str(path), label)
        for label, name in enumerate(class_names)
        for path in _images(folder / name)
    ]
    paths, labels = zip(*found, strict=True) if found else ((), ())
    return FileSplit(np.array(paths, dtype=object), np.array(labels, np.int32))


def _images(folder: Path) -> list[Path]:
    """The image files in a folder, sorted by name; none if it is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
