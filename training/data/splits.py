"""A data set as its splits: arrays in memory, files of photographs, or records of TFDS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

ROLES = ("train", "validation", "test")  # a data set's splits, by the names of their fields


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
    """Photographs of any size, a file each: paths (N,) with int32 labels (N,)."""

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
        return int(self.builder.info.splits[self.instruction].num_examples)


Split = ArraySplit | FileSplit | RecordSplit
ArrayOrFiles = TypeVar("ArrayOrFiles", bound=ArraySplit | FileSplit)


@dataclass(frozen=True)
class LeftOut:
    """Files of one folder that are no images of the data set."""

    folder: str  # relative to the data set's folder, "." for that folder itself
    files: int
    reason: str

    def __str__(self) -> str:
        """Such as "2 files in dog: HEIC", "1 file: not an image", "cat: an empty folder"."""
        if self.files == 0:
            return f"{self.folder}: {self.reason}"
        where = "" if self.folder == "." else f" in {self.folder}"
        return f"{self.files} file{'s' if self.files > 1 else ''}{where}: {self.reason}"


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set's splits and facts about its images."""

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int] | None  # (H, W, C); None: photographs of varying size
    train: Split
    validation: Split | None  # held out of the training images
    test: Split  # imagenet2012: its validation images, since the test labels are not public
    root: Path | None = None  # of the data set `folder`: the folder
    left_out: tuple[LeftOut, ...] = ()  # of the data set `folder`: its files that are not used

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that there are, by their role, in the order of `ROLES`."""
        found = {role: getattr(self, role) for role in ROLES}
        return {role: split for role, split in found.items() if split is not None}

    def class_counts(self) -> dict[str, np.ndarray]:
        """Each role's number of images of each class, (C,); roles of records are left out."""
        classes = len(self.class_names)
        return {
            role: np.bincount(split.labels, minlength=classes)
            for role, split in self.splits.items()
            if not isinstance(split, RecordSplit)
        }


def subset(split: ArrayOrFiles, chosen: np.ndarray) -> ArrayOrFiles:
    """The images that `chosen`, bool (N,), marks, in the split's order."""
    return replace(split, **{name: array[chosen] for name, array in vars(split).items()})


def joined(splits: Sequence[Split]) -> ArraySplit | FileSplit:
    """The images of several splits of one kind, one split after the other.

    Raises:
        ValueError: If they are records, which are read in sequence.
    """
    labels = [split.labels for split in splits if not isinstance(split, RecordSplit)]
    arrays = [split.images for split in splits if isinstance(split, ArraySplit)]
    paths = [split.paths for split in splits if isinstance(split, FileSplit)]
    if len(arrays) == len(splits):
        return ArraySplit(np.concatenate(arrays), np.concatenate(labels))
    if len(paths) == len(splits):
        return FileSplit(np.concatenate(paths), np.concatenate(labels))
    raise ValueError("Splits of arrays or of image files can be joined, not records.")


def listed(items: Sequence[str], separator: str = ", ", at_most: int = 10) -> str:
    """The first items in words, and how many more there are."""
    more = len(items) - at_most
    return separator.join([*items[:at_most], *([f"and {more} more"] if more > 0 else [])])
