"""The run's progress: images per second, time left, loss and error."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import keras

from training.common.progress_bars import ProgressBar
from training.trainer.callbacks.step_counter import StepCounter

SECONDS_BEFORE_ESTIMATE = 5.0  # of steps, from which the time of all others is told


class TrainingProgress(keras.callbacks.Callback):
    """Shows a bar over the whole run on a terminal, and prints a line for each epoch.

    Args:
        counter: The run's steps.
        batch_size: Images per step.
        title: What is trained on what.
        role: `validation` or `test`: the images that an epoch's end is evaluated on.
    """

    def __init__(self, counter: StepCounter, batch_size: int, title: str, role: str) -> None:
        super().__init__()
        self.counter = counter
        self.batch_size = batch_size
        self.title = title
        self.role = role
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
        """`1,234 images/s, ` over the steps so far; nothing as long as none was timed."""
        if not self.steps:
            return ""
        return f"{self.steps * self.batch_size / max(self.seconds, 1e-9):,.0f} images/s, "

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        logs = logs or {}
        if self.compiled is not self.model.optimizer:  # `fit` traced and compiled in this call
            self.compiled, self.steps, self.seconds = self.model.optimizer, 0, 0.0
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

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        logs = logs or {}
        self.bar.print(
            f"{self.title}: epoch {epoch + 1}, step {self.counter.step}/{self.counter.total_steps},"
            f" {self.speed()}loss {logs['loss']:.4f}, error {100 * (1 - logs['accuracy']):.2f} %, "
            f"{self.role} error {100 * (1 - logs['val_accuracy']):.2f} %"
        )
