"""A data set as its splits: arrays in memory, files of photographs, or records of TFDS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


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


def subset(split: ArraySplit | FileSplit, chosen: np.ndarray) -> ArraySplit | FileSplit:
    """The images that `chosen`, bool (N,), marks, in the split's order."""
    if isinstance(split, ArraySplit):
        return ArraySplit(split.images[chosen], split.labels[chosen])
    return FileSplit(split.paths[chosen], split.labels[chosen])
