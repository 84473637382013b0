"""The data sets by name: digits, CIFAR-10, ImageNet 2012, or a folder of class folders."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from training.preparation import prepare, quiet

logger = logging.getLogger(__name__)

NAMES = ("digits", "cifar10", "imagenet2012", "folder")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")  # what tfds.ImageFolder takes for an image


@dataclass(frozen=True, eq=False)
class ArraySplit:
    """Images of one size, in memory: uint8 (N, H, W, C) with int32 labels (N,)."""

    images: np.ndarray
    labels: np.ndarray

    @property
    def examples(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class FileSplit:
    """Photographs of any size, a JPEG or PNG file each: paths (N,) with int32 labels (N,)."""

    paths: np.ndarray
    labels: np.ndarray

    @property
    def examples(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class RecordSplit:
    """Encoded photographs in the TFRecord files of a prepared TFDS data set."""

    builder: tfds.core.DatasetBuilder
    instruction: str  # such as "train[:1000]+train[2000:]"

    @property
    def examples(self) -> int:
        return self.builder.info.splits[self.instruction].num_examples


Split = ArraySplit | FileSplit | RecordSplit


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set's splits and what is known about its images."""

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int] | None  # (H, W, C); None: photographs of varying size
    train: Split
    validation: Split | None  # held out of the training images
    test: Split  # imagenet2012: its validation images, since the test labels are not public


def load(name: str, data_dir: str | None = None, held_out: int = 0, seed: int = 0) -> Dataset:
    """Loads small data sets into memory and locates large ones.

    Args:
        name: One of `NAMES`.
        data_dir: TFDS's data directory (default: the environment variable TFDS_DATA_DIR, else
            TFDS's own), or the folder of class folders. Digits need none.
        held_out: Number of training images kept for validation (section 4.2 of the paper: 5000),
            drawn by `seed`.
        seed: Of that draw alone; the test images are always the same.

    Raises:
        ValueError: If there is no such data set, or too few images to hold out that many.
        OSError: If the data are missing or unreadable.
    """
    if name not in NAMES:
        raise ValueError(f"There is no data set {name!r}; there are {', '.join(NAMES)}.")
    if name == "digits":
        dataset = _digits()
    elif name == "folder":
        dataset = _folder(data_dir)
    else:
        dataset = _tfds(name, data_dir)
    if held_out == 0:
        return dataset
    if not 0 < held_out < dataset.train.examples:
        raise ValueError(
            f"{name} has {dataset.train.examples} training images: held_out is at least 0 and "
            f"smaller than that; given {held_out}."
        )
    train, validation = _hold_out(dataset.train, held_out, seed)
    return replace(dataset, train=train, validation=validation)


def _hold_out(split: Split, held_out: int, seed: int) -> tuple[Split, Split]:
    """The rest and `held_out` of its images, each in the split's order."""
    rng = np.random.default_rng(seed)
    if isinstance(split, RecordSplit):
        # Records are read in sequence, so a stretch of them; TFDS has shuffled them beforehand.
        name = split.instruction
        start = int(rng.integers(split.examples - held_out + 1))
        stop = start + held_out
        rest = "+".join(
            f"{name}[{first}:{last}]"
            for first, last in ((0, start), (stop, split.examples))
            if first < last
        )
        stretch = f"{name}[{start}:{stop}]"
        return RecordSplit(split.builder, rest), RecordSplit(split.builder, stretch)
    chosen = np.zeros(split.examples, bool)
    chosen[rng.permutation(split.examples)[:held_out]] = True
    return _subset(split, ~chosen), _subset(split, chosen)


def _subset(split: ArraySplit | FileSplit, chosen: np.ndarray) -> ArraySplit | FileSplit:
    if isinstance(split, ArraySplit):
        return ArraySplit(split.images[chosen], split.labels[chosen])
    return FileSplit(split.paths[chosen], split.labels[chosen])


def _digits() -> Dataset:
    """scikit-learn's 1797 handwritten digits, 8x8 with values 0..16, scaled to 32x32x1, 0..255."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = tf.image.resize(digits.images[..., np.newaxis] * (255 / 16), (32, 32)).numpy()
    images = np.round(pixels).astype(np.uint8)  # (1797, 32, 32, 1)
    labels = digits.target.astype(np.int32)
    # The same test images in every run: this seed is not the run's.
    rest, test = train_test_split(
        np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0
    )
    return Dataset(
        name="digits",
        class_names=tuple(str(name) for name in digits.target_names),
        image_shape=(32, 32, 1),
        train=ArraySplit(images[rest], labels[rest]),
        validation=None,
        test=ArraySplit(images[test], labels[test]),
    )


# TensorFlow Datasets


def _tfds(name: str, data_dir: str | None) -> Dataset:
    data_dir = data_dir or os.environ.get("TFDS_DATA_DIR") or str(tfds.core.constants.DATA_DIR)
    data_dir = os.path.expanduser(data_dir)
    with quiet():
        builder = tfds.builder(name, data_dir=data_dir)
        prepared = builder.is_prepared()
    if not prepared:
        prepare(builder, data_dir)
    class_names = tuple(builder.info.features["label"].names)
    if name == "imagenet2012":
        lacking = {"train", "validation"} - set(builder.info.splits)
        if lacking:
            raise FileNotFoundError(
                f"{builder.data_dir} was prepared without its {' and '.join(sorted(lacking))} "
                "images: remove that directory and prepare it from both archives."
            )
        train, test = (RecordSplit(builder, split) for split in ("train", "validation"))
        return Dataset(name, class_names, None, train, None, test)
    train, test = (_read_arrays(builder, split) for split in ("train", "test"))
    return Dataset(name, class_names, train.images.shape[1:], train, None, test)


def _read_arrays(builder: tfds.core.DatasetBuilder, split: str) -> ArraySplit:
    """All images of a split in TFDS's order, which is the same every time."""
    try:
        arrays = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
    except tf.errors.OpError as error:
        raise OSError(
            f"The {split} images of {builder.name} in {builder.data_dir} are damaged or "
            f"incomplete ({error.message}). Remove that directory and prepare the data again."
        ) from error
    return ArraySplit(arrays["image"], arrays["label"].astype(np.int32))


# Folders of class folders


def _folder(data_dir: str | None) -> Dataset:
    """DIR/train/<class>/* and DIR/test (or val, validation), or DIR/<class>/*."""
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
    train, test = _subset(every, ~held), _subset(every, held)
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
