"""Loss and error of every epoch, kept in memory and in `history.csv`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from training.common.files import write_csv
from training.trainer.callbacks.learning_rate_setter import LearningRateSetter
from training.trainer.callbacks.step_counter import StepCounter

COLUMNS = ("epoch", "step", "learning_rate", "loss", "error", "val_loss", "val_error")


class History(keras.callbacks.Callback):
    """Writes one row per epoch to `history.csv`. Errors are in per cent.

    Args:
        workdir: The directory of the file.
        counter: The run's steps.
        rate: The run's learning rate.
        write: Whether this process writes (only the chief of several workers does).
    """

    def __init__(
        self, workdir: Path, counter: StepCounter, rate: LearningRateSetter, write: bool = True
    ) -> None:
        super().__init__()
        self.workdir = workdir
        self.counter = counter
        self.rate = rate
        self.write = write
        self.rows: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        logs = logs or {}
        values = (
            epoch + 1,
            self.counter.step,
            self.rate.current,
            logs["loss"],
            100 * (1 - logs["accuracy"]),
            logs["val_loss"],
            100 * (1 - logs["val_accuracy"]),
        )
        self.rows.append({name: float(v) for name, v in zip(COLUMNS, values, strict=True)})
        if self.write:
            write_csv(self.workdir / "history.csv", [COLUMNS, *map(_numbers, self.rows)])

    @property
    def state(self) -> dict[str, Any]:
        return {"rows": self.rows}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self.rows = list(state["rows"])


def _numbers(row: Mapping[str, float]) -> list[float]:
    """The row's numbers, whole ones without a decimal point."""
    return [int(number) if number.is_integer() else number for number in row.values()]
