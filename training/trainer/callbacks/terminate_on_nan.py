"""Ends a run whose loss is no longer a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras

from training.common.errors import DivergedError
from training.trainer.callbacks.checkpoint_saver import CheckpointSaver
from training.trainer.callbacks.learning_rate_setter import LearningRateSetter


class TerminateOnNaN(keras.callbacks.Callback):
    """Raises when the loss is NaN or infinite, before a checkpoint of such weights is written."""

    def __init__(self, rate: LearningRateSetter, saver: CheckpointSaver) -> None:
        super().__init__()
        self.rate = rate
        self.saver = saver

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        loss = (logs or {})["loss"]
        if math.isfinite(loss):
            return
        good = (
            f"the last good checkpoint is of step {self.saver.saved_step}"
            if self.saver.saved_step >= 0
            else "no checkpoint was written before"
        )
        raise DivergedError(
            f"The loss became {loss} at step {self.rate.counter.step}, learning rate "
            f"{self.rate.current:g}; {good}. Try a lower learning_rate or a warm-up."
        )
