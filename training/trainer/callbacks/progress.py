"""The run's progress: images per second, time left, loss and error."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import keras

from training.common.progress_bars import ProgressBar
from training.data.streams.input_wait import InputWait
from training.trainer.callbacks.step_counter import StepCounter

SECONDS_BEFORE_ESTIMATE = 5.0  # of steps, from which the remaining time is estimated
# Shares of a step's time that it waits for its batch.
WAIT_SHOWN, WAIT_WARNED = 0.05, 0.25


class TrainingProgress(keras.callbacks.Callback):
    """Shows a bar over the whole run on a terminal, and prints a line for each epoch.

    Args:
        counter: The run's steps.
        batch_size: Images per step.
        title: What is trained on what.
        role: `validation` or `test`: the images that an epoch's end is evaluated on.
        input_wait: How long the steps have waited for their batches.
    """

    def __init__(
        self, counter: StepCounter, batch_size: int, title: str, role: str, input_wait: InputWait
    ) -> None:
        super().__init__()
        self.counter = counter
        self.batch_size = batch_size
        self.title = title
        self.role = role
        self.input_wait = input_wait
        self.waited_before = 0.0  # seconds, before the steps that are timed
        self.bar = ProgressBar(title, counter.total_steps)
        self.announced = False
        self.began = math.nan
        self.compiled: Any = None  # the optimizer of the step that is timed
        self.steps = 0
        self.seconds = 0.0  # that these steps took, input included, validation not

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.bar.__enter__()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self.bar.__exit__()

    def speed(self) -> str:
        """Returns `1,234 images/s, ` over the timed steps; nothing as long as there are none.

        `input 0.12 s a step, ` follows where the steps wait for their batches.
        """
        if not self.steps:
            return ""
        rate = f"{self.steps * self.batch_size / max(self.seconds, 1e-9):,.0f} images/s, "
        if self.waiting() < WAIT_SHOWN:
            return rate
        return f"{rate}input {self.waiting() * self.seconds / self.steps:.2g} s a step, "

    def waiting(self) -> float:
        """Returns the share of the timed steps' time in which they waited for their batches."""
        waited = self.input_wait.seconds - self.waited_before
        return min(1.0, waited / max(self.seconds, 1e-9))

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        logs = logs or {}
        if self.compiled is not self.model.optimizer:  # `fit` traced and compiled in this call
            self.compiled, self.steps, self.seconds = self.model.optimizer, 0, 0.0
            self.waited_before = self.input_wait.seconds
        else:
            self.seconds += time.monotonic() - self.began
            self.steps += self.counter.taken
            self._announce_time()
        error = 100 * (1 - logs["accuracy"])
        note = f"{self.speed()}loss {logs['loss']:.3f}, error {error:.1f} %"
        self.bar.set(self.counter.step, note=note)

    def _announce_time(self) -> None:
        """Says once, after some steps, how long the rest will take."""
        if self.announced or self.seconds < SECONDS_BEFORE_ESTIMATE:
            return
        self.announced = True
        left = (self.counter.total_steps - self.counter.step) * self.seconds / self.steps
        if left > SECONDS_BEFORE_ESTIMATE:
            self.bar.print(
                f"{self.title}: {self.seconds / self.steps:.3g} s a step; about "
                f"{timedelta(seconds=round(left))} left, evaluations apart"
            )
        if self.waiting() > WAIT_WARNED:
            self.bar.print(
                f"{self.title}: the steps wait for their images {self.waiting():.0%} of the time; "
                "docs/distributed.md says how many processor cores a device needs, and what to do "
                "with fewer"
            )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        logs = logs or {}
        self.bar.print(
            f"{self.title}: epoch {epoch + 1}, step {self.counter.step}/{self.counter.total_steps},"
            f" {self.speed()}loss {logs['loss']:.4f}, error {100 * (1 - logs['accuracy']):.2f} %, "
            f"{self.role} error {100 * (1 - logs['val_accuracy']):.2f} %"
        )
