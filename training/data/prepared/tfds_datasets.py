"""Data sets that TensorFlow Datasets prepares."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from training.data.prepared.download import prepare, quiet
from training.data.splits import ArraySplit, Dataset, RecordSplit


def load(name: str, data_dir: str | None) -> Dataset:
    """Reads CIFAR-10 into memory and finds ImageNet 2012's records; downloads where it may.

    Raises:
        OSError: If the data are missing or damaged.
    """
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
        records = (RecordSplit(builder, split) for split in ("train", "validation"))
        return Dataset(name, class_names, None, next(records), None, next(records))
    train, test = (_read_arrays(builder, split) for split in ("train", "test"))
    return Dataset(name, class_names, train.images.shape[1:], train, None, test)


def _read_arrays(builder: tfds.core.DatasetBuilder, split: str) -> ArraySplit:
    """Reads all images of a split in TFDS's order, which is the same every time."""
    try:
        arrays = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
    except tf.errors.OpError as error:
        raise OSError(
            f"The {split} images of {builder.name} in {builder.data_dir} are damaged or "
            f"incomplete ({error.message}). Remove that directory and prepare the data again."
        ) from error
    return ArraySplit(arrays["image"], arrays["label"].astype(np.int32))
