"""Loss and error of a run: an epoch's in `history.csv`, and some points within epochs."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import keras

from training.common.files import write_csv
from training.trainer.callbacks.learning_rate_setter import LearningRateSetter
from training.trainer.callbacks.step_counter import StepCounter

EPOCHS_FILE, STEPS_FILE = "history.csv", "steps.csv"
# In memory. The files say instead of `val` which images they are: `validation` or `test`.
COLUMNS = ("epoch", "step", "learning_rate", "loss", "error", "val_loss", "val_error")
STEP_COLUMNS = ("step", "learning_rate", "loss", "error")
POINTS = 200  # of the training's loss and error in a whole run

Row = dict[str, float]
Role = Literal["validation", "test"]  # the images that an epoch's end is evaluated on


class History(keras.callbacks.Callback):
    """Writes `history.csv`, a row per epoch, and `steps.csv`, about 200 rows. Errors are per cent.

    A row of `steps.csv` holds the mean over the training images since the row before; one of
    `history.csv` that of the epoch, and the error on the images that the run is evaluated on.

    Args:
        directory: Of the files.
        rate: The run's learning rate, and its steps.
        role: `validation` or `test`: the images that an epoch's end is evaluated on.
        write: Whether this process writes (only the chief of several workers does).
    """

    def __init__(
        self, directory: Path, rate: LearningRateSetter, role: Role, write: bool = True
    ) -> None:
        super().__init__()
        self.directory = directory
        self.rate = rate
        self.counter: StepCounter = rate.counter
        self.role = role
        self.write = write
        self.rows: list[Row] = []
        self.points: list[Row] = []
        self.seen = (0, 0.0, 0.0)  # steps of this epoch at its latest point, their sums

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        every = -(-self.counter.total_steps // POINTS)
        if self.counter.step % every < self.counter.taken:
            self._add_point(logs or {})

    def _add_point(self, logs: Mapping[str, Any]) -> None:
        """Adds the mean since the latest point; Keras's is that since the epoch's beginning."""
        steps = (self.counter.step - 1) % self.counter.epoch_steps + 1
        before, *earlier = self.seen
        sums = steps * float(logs["loss"]), steps * 100 * (1 - float(logs["accuracy"]))
        self.seen = (0, 0.0, 0.0) if steps == self.counter.epoch_steps else (steps, *sums)
        means = ((now - then) / (steps - before) for now, then in zip(sums, earlier, strict=True))
        values = (float(self.counter.step), self.rate.current, *(max(0.0, mean) for mean in means))
        self.points.append(dict(zip(STEP_COLUMNS, values, strict=True)))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        logs = logs or {}
        if not self.points or self.points[-1]["step"] < self.counter.step:
            self._add_point(logs)
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
            _write(self.directory / EPOCHS_FILE, self.recorded(COLUMNS), self.rows)
            _write(self.directory / STEPS_FILE, STEP_COLUMNS, self.points)

    def recorded(self, columns: Sequence[str]) -> list[str]:
        """Returns the columns' names as the files have them: `test_error` for `val_error`."""
        return [name.replace("val_", f"{self.role}_") for name in columns]

    @property
    def state(self) -> dict[str, Any]:
        return {"rows": self.rows, "points": self.points, "seen": list(self.seen)}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self.rows = list(state["rows"])
        self.points = list(state.get("points", ()))  # older checkpoints have none
        steps, loss, error = state.get("seen", (0, 0.0, 0.0))
        self.seen = (steps, loss, error)


def read(path: Path) -> tuple[list[Row], Role | None]:
    """Reads a `history.csv`.

    Returns:
        The rows with the names of `COLUMNS`, and `validation` or `test`, the images that the `val`
        columns are of; `None` in a file of a version that did not tell them apart.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        found = [{name: float(value) for name, value in row.items()} for row in reader]
        columns = reader.fieldnames or ()
    role: Role | None = "validation" if "validation_error" in columns else None
    if "test_error" in columns:
        role = "test"
    rows = [{name.replace(f"{role}_", "val_"): v for name, v in row.items()} for row in found]
    return rows, role


def _write(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Writes the rows, whole numbers without a decimal point."""
    numbers = [[int(v) if v.is_integer() else v for v in row.values()] for row in rows]
    write_csv(path, [columns, *numbers])
