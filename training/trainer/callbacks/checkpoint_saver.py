"""Saves the whole run, and brings it back."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import keras

from training.common.errors import PreemptedError
from training.trainer import checkpoints
from training.trainer.callbacks.step_counter import StepCounter


class CheckpointSaver(keras.callbacks.Callback):
    """Saves the whole run at every epoch's end, every `every` steps, and on SIGTERM.

    Args:
        directory: Where the files go.
        counter: The run's steps.
        members: The callbacks whose `state` (plain JSON values) is saved, by name.
        every: Steps between two saves within an epoch; counted, not timed, because all workers of
            a run must save at the same step.
        workers: Processes that train together. Several cannot agree on a step when one of them is
            asked to stop, and leave the latest checkpoint as it is.
        write: Whether this process writes (only the chief of several workers does).
    """

    def __init__(
        self,
        directory: Path,
        counter: StepCounter,
        members: Mapping[str, Any],
        every: int,
        workers: int = 1,
        write: bool = True,
    ) -> None:
        super().__init__()
        self.directory = directory
        self.counter = counter
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
        self.saved_step = self.counter.step
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
        if self.asked_to_stop or self.counter.step % self.every < self.counter.taken:
            self.save(within_epoch=True)
            self._stop_if_asked()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.save(within_epoch=False)
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self.asked_to_stop:
            raise PreemptedError(
                f"stopped by SIGTERM after step {self.counter.step}; the checkpoint is of step "
                f"{self.saved_step}. Run the same command again to continue."
            )

    def save(self, within_epoch: bool) -> None:
        arrays = checkpoints.read(checkpoints.variables(self.model))
        if self.write:
            state = {name: member.state for name, member in self.members.items()}
            state["within_epoch"] = within_epoch
            checkpoints.save(self.directory, self.counter.step, arrays, state)
        self.saved_step = self.counter.step
