"""The division of a folder that a model's run recorded: what the model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.data.folder import split_file
from training.data.splits import Dataset, FileSplit


def of_runs(models: Sequence[Path], root: Path) -> Path | None:
    """The split file that lies beside every model, if it divides the images of this folder.

    Args:
        models: Model files, in their runs' directories.
        root: A folder of class folders.

    Raises:
        ValueError: If a split file is damaged.
    """
    found = [model.with_name(split_file.FILE_NAME) for model in models]
    if not found or not all(file.is_file() for file in found):
        return None
    if any(file.read_bytes() != found[0].read_bytes() for file in found):
        return None
    there = all((root / row.file).is_file() for row in split_file.read(found[0]))
    return found[0] if there else None


def trained_on(models: Sequence[Path], dataset: Dataset) -> int | None:
    """Counts the test images that at least one model was trained on; None if that is unknown.

    Args:
        models: Model files, in their runs' directories.
        dataset: The images to be tested on are its test images.

    Raises:
        ValueError: If a split file is damaged.
    """
    found = [model.with_name(split_file.FILE_NAME) for model in models]
    if dataset.root is None or not isinstance(dataset.test, FileSplit):
        return None
    if not found or not all(file.is_file() for file in found):
        return None
    rows = [row for file in found for row in split_file.read(file)]
    return split_file.trained_on(rows, dataset.test, dataset.root)
