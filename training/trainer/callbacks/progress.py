"""A progress bar over the whole run: images per second, time left, where loss and error stand."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.trainer.callbacks.standard import Clock


class ProgressBar(keras.callbacks.Callback):
    """A bar on a terminal; one line per epoch where the output is a file."""

    def __init__(self, clock: Clock, batch_size: int, title: str) -> None:
        super().__init__()
        self.clock = clock
        self.batch_size = batch_size
        self.console = Console(file=sys.stderr)
        self.bar = Progress(
            TextColumn(title),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]:.0f} images/s"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.title = title
        self.task = self.bar.add_task(title, total=clock.total_steps, speed=0.0, figures="")
        self.began = (time.monotonic(), 0)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.bar.start()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self.bar.stop()

    def speed(self) -> float:
        """Images per second in this epoch, without its first step, in which `fit` may trace."""
        began, step = self.began
        return (self.clock.step - step) * self.batch_size / max(time.monotonic() - began, 1e-9)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if batch == 0:
            self.began = (time.monotonic(), self.clock.step)
        logs = logs or {}
        figures = f"loss {logs['loss']:.3f}, error {100 * (1 - logs['accuracy']):.1f} %"
        self.bar.update(self.task, completed=self.clock.step, speed=self.speed(), figures=figures)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        logs = logs or {}
        self.console.print(
            f"{self.title}: epoch {epoch + 1}, step {self.clock.step}/{self.clock.total_steps}, "
            f"{self.bar.tasks[0].fields['speed']:.0f} images/s, loss {logs['loss']:.4f}, "
            f"error {100 * (1 - logs['accuracy']):.2f} %, "
            f"validation error {100 * (1 - logs['val_accuracy']):.2f} %",
            highlight=False,
            soft_wrap=True,
        )
