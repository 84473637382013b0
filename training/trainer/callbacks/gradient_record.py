"""The norm of each layer's gradient over a run, on the same images at every epoch's end."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet import analysis
from training.common.files import write_csv
from training.trainer.callbacks.step_counter import StepCounter

FILE = "gradients.csv"
IMAGES = 128


class GradientRecord(keras.callbacks.Callback):
    """Writes `gradients.csv`: a row before the first step and one per epoch, a column per layer.

    A resumed run keeps the rows up to the step it is resumed from.

    Args:
        workdir: Where the file goes.
        counter: The run's steps.
        images: As the network in training takes them, (N, H, W, C).
        labels: Their classes, (N,).
    """

    def __init__(
        self, workdir: Path, counter: StepCounter, images: np.ndarray, labels: np.ndarray
    ) -> None:
        super().__init__()
        self.path = workdir / FILE
        self.counter = counter
        self.images = images
        self.labels = labels

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        if self.counter.step == 0:
            self._record([])

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        before = _lines(self.path)[1:] if self.path.exists() else []
        self._record([row for row in before if int(row[0]) < self.counter.step])

    def _record(self, before: list[list[str]]) -> None:
        found = analysis.gradient_norms(self.model, self.images, self.labels)
        row = [self.counter.step, *found.norms.tolist()]
        write_csv(self.path, [["step", *found.names], *before, row])


def read(path: Path) -> tuple[list[int], tuple[str, ...], np.ndarray]:
    """Reads a `gradients.csv`.

    Returns:
        The steps (rows,), the names of the layers, and the norms (rows, layers).

    Raises:
        OSError: If there is no such file.
        ValueError: If the file holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}: `train --record-gradients` writes one.")
    heading, *rows = _lines(path) or [[]]
    try:
        steps = [int(row[0]) for row in rows]
        norms = np.array([[float(norm) for norm in row[1:]] for row in rows])
        if norms.shape != (len(steps), len(heading) - 1):
            raise ValueError(f"{norms.shape} numbers under {len(heading)} headings")
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path} is no record of gradients: {error}.") from error
    return steps, tuple(heading[1:]), norms


def _lines(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))
