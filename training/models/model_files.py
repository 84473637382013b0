"""The trained nets that `evaluate` and `inspect` read, and a data set seen with their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.data.splits import ArraySplit, Dataset, FileSplit
from training.models import trained_model
from training.models.trained_model import TrainedModel


def load(
    files: Sequence[Path],
    network: str | None = None,
    weights: str | None = None,
    convention: str | None = None,
    labels: Sequence[str] | None = None,
) -> list[TrainedModel]:
    """`.keras` files, such as `train` writes, or one network of the table with weights.

    Args:
        files: The `.keras` files, or none.
        network: Without files: `"resnet50"` and so on.
        weights: With `network`: the name of published weights, or a weights file.
        convention: What files need of their input; see `served_model`.
        labels: The classes' names, where the files do not say.

    Raises:
        ValueError: If neither or both are given, or the nets' classes are not the same.
        OSError: If a file cannot be read.
    """
    if bool(files) == bool(network or weights) or bool(network) != bool(weights):
        raise ValueError("Give --model FILE.keras, or --network NAME with --weights ROW|FILE.")
    if network and weights:
        return [trained_model.from_weights(network, weights, labels, convention)]
    nets = [trained_model.from_file(file, labels, convention) for file in files]
    for file, net in zip(files, nets, strict=True):
        if net.labels != nets[0].labels:
            raise ValueError(
                f"Nets are evaluated together on the same classes in the same order; those of "
                f"{files[0]} and {file} differ."
            )
    return nets


def names(nets: Sequence[TrainedModel]) -> list[str]:
    """Each net's name, with a number where several have the same."""
    given = [str(net.facts["network"]) for net in nets]
    return [
        name if given.count(name) == 1 else f"{name} ({given[: i + 1].count(name)})"
        for i, name in enumerate(given)
    ]


def with_classes(dataset: Dataset, labels: Sequence[str]) -> Dataset:
    """`dataset` with its classes numbered as `labels` are; labels may hold further classes.

    Labels that are mere numbers, as of a net that came without names, are the data set's classes
    in its order.

    Raises:
        ValueError: If the labels lack a class of the data set.
    """
    labels = tuple(labels)
    numbers = tuple(str(i) for i in range(len(dataset.class_names)))
    if labels in (dataset.class_names, numbers):
        return dataset
    lacking = [name for name in dataset.class_names if name not in labels]
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    if lacking or not all(isinstance(s, ArraySplit | FileSplit | None) for s in splits.values()):
        raise ValueError(
            f"The net's {len(labels)} classes ({', '.join(labels[:3])}, ...) are not those of "
            f"{dataset.name} ({', '.join(lacking[:3] or dataset.class_names[:3])}, ...)."
        )
    place = np.array([labels.index(name) for name in dataset.class_names], np.int32)
    renumbered = {
        role: None if split is None else replace(split, labels=place[split.labels])
        for role, split in splits.items()
    }
    return replace(dataset, class_names=labels, **renumbered)
