"""Checkpoints: the whole state of a run in one file, written so that no kill can spoil it."""

from __future__ import annotations

import json
import logging
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from training.common.files import atomic_write

FILE_NAME = re.compile(r"step-(\d{9})\.npz")
KEPT = 2  # the newest, and the one before in case the newest is damaged

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file: arrays by name, and the callbacks' state as JSON values."""

    step: int
    arrays: dict[str, np.ndarray]
    state: dict[str, Any]


def variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns everything that changes while a compiled model trains, by a stable name.

    Weights and moving statistics, the optimizer's slots and counters, and the running means of
    the metrics, without which an epoch that was cut in two would report half of itself.
    """
    groups = {
        "weights": model.weights,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
    }
    return {
        f"{group}/{i}": variable
        for group, members in groups.items()
        for i, variable in enumerate(members)
    }


def assign(named: dict[str, keras.Variable], checkpoint: Checkpoint) -> None:
    """Sets `named` variables to the checkpoint's arrays.

    Raises:
        ValueError: If a name is missing or a shape differs; nothing is changed then.
    """
    for name, variable in named.items():
        found = checkpoint.arrays.get(name)
        if found is None or found.shape != tuple(variable.shape):
            raise ValueError(
                f"The checkpoint of step {checkpoint.step} was written by another network or "
                f"optimizer: {name} ({variable.path}) has shape {tuple(variable.shape)}, the file "
                f"holds {'nothing' if found is None else found.shape}. Use another --workdir."
            )
    for name, variable in named.items():
        variable.assign(checkpoint.arrays[name])


def read(named: dict[str, keras.Variable]) -> dict[str, np.ndarray]:
    """Returns the variables' values.

    With several workers all of them must call it, since it may communicate with the others.
    """
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in named.items()}


def save(directory: Path, step: int, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> Path:
    """Writes `step-<step>.npz` atomically, and removes the oldest of more than `KEPT` files.

    Raises:
        OSError: If the disk is full or the directory cannot be written; older files stay.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"step-{step:09d}.npz"
    try:
        with atomic_write(path) as temporary:
            np.savez(temporary, allow_pickle=False, state=np.array(json.dumps(state)), **arrays)
    except OSError as error:
        raise OSError(
            f"The checkpoint of step {step} could not be written to {directory}: {error}. "
            "The checkpoints before it are untouched; make room and run the same command again."
        ) from error
    for old in files(directory)[KEPT:]:
        old.unlink()
    return path


def newest(directory: Path) -> Checkpoint | None:
    """Reads the newest undamaged checkpoint; returns `None` if there is none.

    A damaged one is named in a warning.
    """
    for path in files(directory):
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logger.warning(
                "The checkpoint %s is damaged (%s); falling back to the one before.", path, error
            )
    if files(directory):
        logger.warning("%s has no other checkpoint: the run begins at step 0.", directory)
    return None


def files(directory: Path) -> Sequence[Path]:
    """Returns the directory's checkpoints, newest first."""
    if not directory.is_dir():
        return []
    found = [path for path in directory.iterdir() if FILE_NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)


def _read(path: Path) -> Checkpoint:
    with np.load(path, allow_pickle=False) as file:  # the zip's CRCs are checked as it is read
        arrays = {name: file[name] for name in file.files}
    step = int(path.stem.removeprefix("step-"))
    return Checkpoint(step, arrays, json.loads(str(arrays.pop("state"))))
