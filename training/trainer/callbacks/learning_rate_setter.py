"""The learning rate of every step, set before the step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras

from training.trainer.callbacks.step_counter import StepCounter
from training.trainer.learning_rate import Controller


class LearningRateSetter(keras.callbacks.Callback):
    """Sets the optimizer's learning rate before each step, and tells the controller the errors.

    Args:
        counter: The run's steps.
        controller: Decides the rates.
    """

    def __init__(self, counter: StepCounter, controller: Controller) -> None:
        super().__init__()
        self.counter = counter
        self.controller = controller
        self.current = math.nan

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        before = self.current
        (rate,) = self.upcoming(1)
        if rate != before:
            self.model.optimizer.learning_rate = rate

    def upcoming(self, steps: int) -> list[float]:
        """Returns the rates of the next steps, as far as they are known; keeps the last one."""
        rates = [self.controller.rate(self.counter.step + i) for i in range(steps)]
        self.current = rates[-1]
        return rates

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.controller.after_step(training_error=1.0 - float((logs or {})["accuracy"]))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.controller.after_epoch(validation_error=100 * (1.0 - (logs or {})["val_accuracy"]))

    @property
    def state(self) -> dict[str, Any]:
        return {**self.controller.state, "current": self.current}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self.controller.state = dict(state)
        self.current = state.get("current", math.nan)  # older checkpoints have none
