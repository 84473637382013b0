"""Leaving out the photographs that cannot be decoded, counted and by name."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import tensorflow as tf

from training.data.splits import Dataset, FileSplit

logger = logging.getLogger(__name__)


def screened(dataset: Dataset) -> tuple[Dataset, list[str]]:
    """`dataset` without the images that cannot be decoded, and their paths.

    All are decoded once, ahead of training: what is skipped is then the same in every epoch and
    after every restart.

    Raises:
        ValueError: If the data set is not of single files.
    """
    skipped: list[str] = []
    kept: dict[str, FileSplit] = {}
    for name in ("train", "validation", "test"):
        split = getattr(dataset, name)
        if split is None:
            continue
        if not isinstance(split, FileSplit):
            raise ValueError(
                f"--skip-bad-images is for folders of image files; {dataset.name} is not one. Its "
                "files were checked when they were prepared: prepare damaged ones again."
            )
        good = _decodable(split)
        skipped += [str(path) for path in split.paths[~good]]
        kept[name] = FileSplit(split.paths[good], split.labels[good])
    for path in skipped:
        logger.warning("skipping %s: it is damaged, or neither JPEG nor PNG", path)
    return dataclasses.replace(dataset, **kept), skipped


def _decodable(split: FileSplit) -> np.ndarray:
    """Which of the files can be read and decoded: bool (N,)."""

    def decoded_shape(path: tf.Tensor) -> tf.Tensor:
        return tf.shape(tf.io.decode_image(tf.io.read_file(path), 3, expand_animations=False))

    def works(path: tf.Tensor) -> tf.Tensor:
        # A graph has no `except`: a data set of one image is empty if its decoding fails.
        attempt = tf.data.Dataset.from_tensors(path).map(decoded_shape).ignore_errors()
        return attempt.reduce(False, lambda *_: True)

    paths = tf.data.Dataset.from_tensor_slices(split.paths.astype(str))
    return np.fromiter(paths.map(works, tf.data.AUTOTUNE).as_numpy_iterator(), bool)
