"""The trained nets that `evaluate` and `inspect` read, and a data set seen with their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.data.splits import ArraySplit, Dataset, FileSplit, RecordSplit, Split
from training.models import trained_model
from training.models.trained_model import TrainedModel


def load(
    files: Sequence[Path],
    labels: Sequence[str] | None = None,
    convention: str | None = None,
    image_size: int | None = None,
) -> list[TrainedModel]:
    """The models of `.keras` files, such as `train` writes, with the same classes.

    The arguments are those of `trained_model.from_file`.

    Raises:
        ValueError: If a file holds no classifier of images, or the models' classes differ.
        OSError: If a file cannot be read.
    """
    nets = [trained_model.from_file(file, labels, convention, image_size) for file in files]
    for file, net in zip(files, nets, strict=True):
        if net.labels != nets[0].labels:
            raise ValueError(
                f"Nets are evaluated together on the same classes in the same order; those of "
                f"{files[0]} and {file} differ."
            )
    return nets


def names(nets: Sequence[TrainedModel]) -> list[str]:
    """Each net's name, with a number where several nets have the same name."""
    given = [str(net.facts["network"]) for net in nets]
    return [
        name if given.count(name) == 1 else f"{name} ({given[: i + 1].count(name)})"
        for i, name in enumerate(given)
    ]


def with_classes(dataset: Dataset, labels: Sequence[str]) -> Dataset:
    """`dataset` with its classes numbered in the order of `labels`, which may name more classes.

    Labels "0", "1", ... are those of a net without class names; they count the data set's classes.

    Raises:
        ValueError: If the labels lack a class of the data set, or name it twice.
    """
    labels = tuple(labels)
    numbers = tuple(str(i) for i in range(len(dataset.class_names)))
    if labels in (dataset.class_names, numbers):
        return dataset
    lacking = [name for name in dataset.class_names if name not in labels]
    if lacking:
        raise _other_classes(dataset, labels, lacking)
    twice = [name for name in dataset.class_names if labels.count(name) > 1]
    if twice:
        raise ValueError(
            f"Two of the net's classes are called {twice[0]!r}, so that images of {dataset.name} "
            "cannot be assigned to one of them: give the classes different names (--labels)."
        )
    place = np.array([labels.index(name) for name in dataset.class_names], np.int32)

    def renumbered(split: Split) -> ArraySplit | FileSplit:
        if isinstance(split, RecordSplit):  # its labels are in its records
            raise _other_classes(dataset, labels, dataset.class_names)
        return replace(split, labels=place[split.labels])

    return replace(
        dataset,
        class_names=labels,
        train=renumbered(dataset.train),
        validation=None if dataset.validation is None else renumbered(dataset.validation),
        test=renumbered(dataset.test),
    )


def _other_classes(dataset: Dataset, labels: Sequence[str], lacking: Sequence[str]) -> ValueError:
    return ValueError(
        f"The net's {len(labels)} classes ({', '.join(labels[:3])}, ...) are not those of "
        f"{dataset.name} ({', '.join(lacking[:3])}, ...)."
    )
