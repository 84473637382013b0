"""The number of training steps that a run has made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras


class StepCounter(keras.callbacks.Callback):
    """Counts the steps. It stands first, so that the other callbacks read the step just made.

    Keras's "batch" is one call of the compiled step, which makes one training step or several.

    Args:
        total_steps: Steps of the whole run.
        epoch_steps: Steps of an epoch.
    """

    def __init__(self, total_steps: int, epoch_steps: int) -> None:
        super().__init__()
        self.total_steps = total_steps
        self.epoch_steps = epoch_steps
        self.step = 0
        self.taken = 1  # steps of the latest call

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.step += self.taken

    @property
    def state(self) -> dict[str, Any]:
        return {"step": self.step}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self.step = int(state["step"])
