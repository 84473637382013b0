"""Leaving out the photographs that cannot be decoded, counted and by name."""

from __future__ import annotations

import dataclasses
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from training.data import image_decoding
from training.data.splits import Dataset, FileSplit, subset

logger = logging.getLogger(__name__)


def screened(dataset: Dataset) -> tuple[Dataset, list[str]]:
    """Returns the data set without the images that cannot be decoded, and their paths.

    Every image is decoded once, ahead of training, so that every epoch and every restart skips the
    same ones.

    Raises:
        ValueError: If the data set is not of single files.
    """
    skipped: list[str] = []
    kept: dict[str, Any] = {}
    for name, split in dataset.splits.items():
        if not isinstance(split, FileSplit):
            raise ValueError(
                f"--skip-bad-images is for folders of image files; {dataset.name} is not one. Its "
                "files were checked when they were prepared: prepare damaged ones again."
            )
        reasons = _reasons(split)
        good = reasons == ""
        kept[name] = subset(split, good)
        skipped += [str(path) for path in split.paths[~good]]
        for path, reason in zip(split.paths[~good], reasons[~good], strict=True):
            logger.warning("skipping %s: it %s", path, reason)
    return dataclasses.replace(dataset, **kept), skipped


def _reasons(split: FileSplit) -> np.ndarray:
    """Why each of the files cannot be decoded, as strings (N,); "" if it can."""
    with ThreadPoolExecutor() as pool:
        return np.array(list(pool.map(_reason, split.paths)), dtype=object)


def _reason(path: str) -> str:
    encoded = tf.constant(Path(path).read_bytes())
    try:
        _decode(encoded)
    except tf.errors.InvalidArgumentError:
        return image_decoding.reason(encoded).numpy().decode()
    return ""


@tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
def _decode(encoded: tf.Tensor) -> tf.Tensor:
    with tf.device("CPU"):
        return image_decoding.decode(encoded)
