"""Saves the whole run, and restores it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import keras

from training.common.errors import InterruptedRunError, PreemptedError, RunError
from training.trainer import checkpoints
from training.trainer.callbacks.step_counter import StepCounter

logger = logging.getLogger(__name__)

# What the signals are called, and the error that says that the run has saved itself.
SIGNALS: Mapping[int, tuple[str, type[RunError]]] = {
    signal.SIGTERM: ("SIGTERM", PreemptedError),
    signal.SIGINT: ("Ctrl-C", InterruptedRunError),
}


class CheckpointSaver(keras.callbacks.Callback):
    """Saves the whole run at every epoch's end, every `every` steps, on SIGTERM and on Ctrl-C.

    A second Ctrl-C ends the process at once. An evaluation at an epoch's end is broken off; the
    process that continues the run makes it.

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
        self.signal: int | None = None  # that asked the run to stop
        self.pending: checkpoints.Checkpoint | None = None
        self.trained: dict[str, float] = {}  # training metrics of the latest epoch that ended

    def restore(self, found: checkpoints.Checkpoint, new_optimizer: bool = False) -> None:
        """Loads a checkpoint into the model and the members.

        Args:
            found: The checkpoint.
            new_optimizer: Whether the model's optimizer is another than the checkpoint's, as it is
                where the run begins to train more layers: only the weights are loaded then.
        """
        named = checkpoints.variables(self.model)
        if new_optimizer:
            named = {name: v for name, v in named.items() if name.startswith("weights/")}
        checkpoints.assign(named, found)
        for name, member in self.members.items():
            member.state = found.state[name]
        self.saved_step = self.counter.step
        # `fit` sets the metrics to zero when an epoch begins; they are put back after that.
        self.pending = found

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        if self.write:
            for unfinished in self.directory.glob(".writing-*"):  # of a process that was killed
                unfinished.unlink()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within it a signal asks the run to stop, between two calls of `fit` too."""
        handlers = {number: signal.signal(number, self._ask_to_stop) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            logger.info("Saving after this step; Ctrl-C once more ends at once, without saving.")

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
            metrics = self.model.get_metrics_result()
            self.trained = {name: float(value) for name, value in metrics.items()}
            return  # the epoch's end saves, with the epoch's row in the history
        if self.signal is not None or self.counter.step % self.every < self.counter.taken:
            self.save(within_epoch=True)
            self._stop_if_asked()

    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.signal is not None and self.workers == 1:
            self.save(within_epoch=False, unevaluated=self.trained)
        self._stop_if_asked()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.save(within_epoch=False)
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self.signal is None:
            return
        name, error = SIGNALS[self.signal]
        raise error(
            f"stopped by {name} after step {self.counter.step}; the checkpoint is of step "
            f"{self.saved_step}. Run the same command again to continue."
        )

    def save(self, within_epoch: bool, unevaluated: Mapping[str, float] | None = None) -> None:
        """Writes a checkpoint.

        Args:
            within_epoch: Whether the epoch has more steps to make.
            unevaluated: The training metrics of an epoch whose evaluation a signal broke off.
        """
        arrays = checkpoints.read(checkpoints.variables(self.model))
        if self.write:
            state = {name: member.state for name, member in self.members.items()}
            state |= {"within_epoch": within_epoch, "unevaluated": unevaluated}
            checkpoints.save(self.directory, self.counter.step, arrays, state)
        self.saved_step = self.counter.step
