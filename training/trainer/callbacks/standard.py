"""What happens beside the gradient steps: rate, history, checkpoints, guard. Each keeps its state.

Every callback here has a `state` of plain JSON values; `Checkpoints` saves them all, so that a run
that was killed goes on as if it had not been.
"""

from __future__ import annotations

import csv
import io
import math
import signal
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import keras

from training.common.errors import DivergedError, PreemptedError
from training.common.files import write_text
from training.trainer import checkpoints
from training.trainer.learning_rate import Controller

COLUMNS = ("epoch", "step", "learning_rate", "loss", "error", "val_loss", "val_error")


class Clock(keras.callbacks.Callback):
    """Counts the run's steps. Stands first, so that the others read the step just made.

    Keras's batch is one call of the compiled step, which makes one step or several.
    """

    def __init__(self, total_steps: int, epoch_steps: int) -> None:
        super().__init__()
        self.total_steps = total_steps
        self.epoch_steps = epoch_steps
        self.step = 0
        self.taken = 1  # steps in the latest call

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.step += self.taken

    @property
    def state(self) -> dict[str, Any]:
        return {"step": self.step}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self.step = int(state["step"])


class Rate(keras.callbacks.Callback):
    """Sets the learning rate before each step."""

    def __init__(self, clock: Clock, controller: Controller) -> None:
        super().__init__()
        self.clock = clock
        self.controller = controller
        self.current = math.nan

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        before = self.current
        (rate,) = self.upcoming(1)
        if rate != before:
            self.model.optimizer.learning_rate = rate

    def upcoming(self, steps: int) -> list[float]:
        """The rates of the next steps, as far as is known; the last one becomes the current."""
        rates = [self.controller.rate(self.clock.step + i) for i in range(steps)]
        self.current = rates[-1]
        return rates

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.controller.after_step(training_error=1.0 - float((logs or {})["accuracy"]))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.controller.after_epoch(validation_error=100 * (1.0 - (logs or {})["val_accuracy"]))

    @property
    def state(self) -> dict[str, Any]:
        return self.controller.state

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self.controller.state = dict(state)


class History(keras.callbacks.Callback):
    """One row per epoch, in `history.csv`. Errors are in per cent.

    Args:
        workdir: Where they go.
        clock: The run's steps.
        rate: The run's learning rate.
        write: Whether this process writes (only the chief of several workers does).
    """

    def __init__(self, workdir: Path, clock: Clock, rate: Rate, write: bool = True) -> None:
        super().__init__()
        self.write = write
        self.workdir = workdir
        self.clock = clock
        self.rate = rate
        self.rows: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        logs = logs or {}
        values = (
            epoch + 1,
            self.clock.step,
            self.rate.current,
            logs["loss"],
            100 * (1 - logs["accuracy"]),
            logs["val_loss"],
            100 * (1 - logs["val_accuracy"]),
        )
        row = {name: float(value) for name, value in zip(COLUMNS, values, strict=True)}
        self.rows.append(row)
        if self.write:
            write_csv(self.workdir / "history.csv", self.rows)

    @property
    def state(self) -> dict[str, Any]:
        return {"rows": self.rows}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self.rows = list(state["rows"])


def write_csv(path: Path, rows: list[dict[str, float]]) -> None:
    """Replaces `path` by the rows, whole numbers without a decimal point."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: int(v) if float(v).is_integer() else v for k, v in row.items()})
    write_text(path, text.getvalue())


class Checkpoints(keras.callbacks.Callback):
    """Saves the whole run at every epoch's end, every `every` steps, and on SIGTERM.

    Args:
        directory: Where the files go.
        clock: The run's steps.
        members: The callbacks whose `state` is saved, by name.
        every: Steps between two saves within an epoch; counted, not timed, because all workers of
            a run must save at the same step.
        workers: Processes that train together. Several cannot agree on a step when one of them is
            asked to stop, and leave the checkpoint before as it is.
        write: Whether this process writes (only the chief of several workers does).
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        members: Mapping[str, Any],
        every: int,
        workers: int = 1,
        write: bool = True,
    ) -> None:
        super().__init__()
        self.directory = directory
        self.clock = clock
        self.members = members
        self.every = every
        self.workers = workers
        self.write = write
        self.saved_step = -1
        self.asked_to_stop = False
        self.pending: checkpoints.Checkpoint | None = None
        self.before: Any = None

    def restore(self) -> None:
        """Loads the newest checkpoint into the model and the members; without one, does nothing."""
        if self.write:
            for unfinished in self.directory.glob(".writing-*"):  # of a process that was killed
                unfinished.unlink()
        found = checkpoints.newest(self.directory)
        if found is None:
            return
        named = checkpoints.variables(self.model)
        checkpoints.assign(named, found)
        for name, member in self.members.items():
            member.state = found.state[name]
        self.saved_step = self.clock.step
        # `fit` sets the metrics to zero when an epoch begins; they are put back after that.
        self.pending = found

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.before = signal.signal(signal.SIGTERM, self._ask_to_stop)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        signal.signal(signal.SIGTERM, self.before)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.asked_to_stop = True

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.pending is not None and self.pending.state["within_epoch"]:
            named = checkpoints.variables(self.model)
            metrics = {k: v for k, v in named.items() if k.startswith("metrics/")}
            checkpoints.assign(metrics, self.pending)
        self.pending = None

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.workers > 1:
            self._stop_if_asked()
        if batch + 1 == self.params["steps"]:
            return  # the epoch's end saves, with the epoch's row in the history
        if self.asked_to_stop or self.clock.step % self.every < self.clock.taken:
            self.save(within_epoch=True)
            self._stop_if_asked()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.save(within_epoch=False)
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self.asked_to_stop:
            raise PreemptedError(
                f"stopped by SIGTERM after step {self.clock.step}; the checkpoint is of step "
                f"{self.saved_step}. Run the same command again to go on."
            )

    def save(self, within_epoch: bool) -> None:
        arrays = checkpoints.read(checkpoints.variables(self.model))
        if self.write:
            state = {name: member.state for name, member in self.members.items()}
            state["within_epoch"] = within_epoch
            checkpoints.save(self.directory, self.clock.step, arrays, state)
        self.saved_step = self.clock.step


class Guard(keras.callbacks.Callback):
    """Stops a run whose loss is NaN or infinite, before a checkpoint of it is written."""

    def __init__(self, clock: Clock, rate: Rate, saver: Checkpoints) -> None:
        super().__init__()
        self.clock = clock
        self.rate = rate
        self.saver = saver

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if math.isfinite((logs or {})["loss"]):
            return
        good = (
            f"the last good checkpoint is of step {self.saver.saved_step}"
            if self.saver.saved_step >= 0
            else "no checkpoint was written before"
        )
        raise DivergedError(
            f"The loss became {(logs or {})['loss']} at step {self.clock.step}, learning rate "
            f"{self.rate.current:g}; {good}. Try a lower learning_rate or a warm-up."
        )
