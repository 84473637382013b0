"""Leaving out the photographs that cannot be decoded, counted and by name."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from training.data.decoding import image_decoding
from training.data.shares import Turn
from training.data.splits import Dataset, FileSplit, listed, subset

logger = logging.getLogger(__name__)


def screened(
    dataset: Dataset,
    turn: Turn = Turn(),  # noqa: B008  # frozen
    sum_over_workers: Callable[[np.ndarray], np.ndarray] = lambda damaged: damaged,
) -> tuple[Dataset, list[str]]:
    """Returns the data set without the images that cannot be decoded, and their paths.

    Every image is decoded once, ahead of training, so that every epoch and every restart skips the
    same ones.

    Args:
        dataset: The data set.
        turn: The images that this process decodes, of several that train together.
        sum_over_workers: Adds up the arrays of these processes.

    Raises:
        ValueError: If the data set is not of single files, or loses all images of a role or all
            training images of a class.
    """
    skipped: list[str] = []
    kept: dict[str, Any] = {}
    for name, split in dataset.splits.items():
        if not isinstance(split, FileSplit):
            raise ValueError(
                f"--skip-bad-images is for folders of image files; {dataset.name} is not one. Its "
                "files were checked when they were prepared: prepare damaged ones again."
            )
        own = turn.spans(split.examples, 1)[:, 0]
        damaged = np.zeros(split.examples)
        damaged[own] = _damaged(split.paths[own])
        good = sum_over_workers(damaged) == 0
        kept[name] = subset(split, good)
        skipped += [str(path) for path in split.paths[~good]]
    found = dataclasses.replace(dataset, **kept)
    lost = [f"{role} images" for role, split in found.splits.items() if split.examples == 0]
    counts = zip(found.class_names, found.class_counts()["train"], strict=True)
    lost += [f"training images of {name}" for name, count in counts if count == 0]
    if lost:
        raise ValueError(
            f"None can be decoded of the {listed(lost)}: mend or replace the files that are named "
            "above."
        )
    return found, skipped


def _damaged(paths: Sequence[str]) -> list[bool]:
    """Whether each of the files cannot be decoded, (N,); logs why."""
    _decode.get_concrete_function()  # traced here, not by several threads at once
    with ThreadPoolExecutor() as pool:
        reasons = list(pool.map(_reason, paths))
    for path, reason in zip(paths, reasons, strict=True):
        if reason:
            logger.warning("skipping %s: it %s", path, reason)
    return [reason != "" for reason in reasons]


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
