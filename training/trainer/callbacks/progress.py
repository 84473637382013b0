"""The run's progress: images per second, time left, loss and error."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import keras

from training.common.progress_bars import ProgressBar
from training.trainer.callbacks.step_counter import StepCounter


class TrainingProgress(keras.callbacks.Callback):
    """Shows a bar over the whole run on a terminal, and prints a line for each epoch.

    Args:
        counter: The run's steps.
        batch_size: Images per step.
        title: What is trained on what.
    """

    def __init__(self, counter: StepCounter, batch_size: int, title: str) -> None:
        super().__init__()
        self.counter = counter
        self.batch_size = batch_size
        self.title = title
        self.bar = ProgressBar(title, counter.total_steps)
        self.began = math.nan
        self.calls = self.steps = 0
        self.seconds = 0.0  # that these steps took, input included, validation not

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.bar.__enter__()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self.bar.__exit__()

    def speed(self) -> str:
        """`1,234 images/s, ` over this process's steps; nothing as long as nothing is known."""
        if not self.steps:
            return ""
        return f"{self.steps * self.batch_size / max(self.seconds, 1e-9):,.0f} images/s, "

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        logs = logs or {}
        self.calls += 1
        if self.calls > 1:  # `fit` traces and compiles in the first one
            self.seconds += time.monotonic() - self.began
            self.steps += self.counter.taken
        error = 100 * (1 - logs["accuracy"])
        note = f"{self.speed()}loss {logs['loss']:.3f}, error {error:.1f} %"
        self.bar.set(self.counter.step, note=note)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        logs = logs or {}
        self.bar.print(
            f"{self.title}: epoch {epoch + 1}, step {self.counter.step}/{self.counter.total_steps},"
            f" {self.speed()}loss {logs['loss']:.4f}, error {100 * (1 - logs['accuracy']):.2f} %, "
            f"validation error {100 * (1 - logs['val_accuracy']):.2f} %"
        )
