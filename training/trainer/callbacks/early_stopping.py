"""When a run ends before its last step: nothing gained for long, or a pause that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from training.trainer.callbacks.standard import History


class Stopping(keras.callbacks.Callback):
    """Ends `fit` after the epoch that is enough. Stands behind the history, which is its memory.

    Args:
        history: The run's epochs; restored with the run, and so is what follows from them.
        patience: Epochs in a row without a lower validation error, or `None`.
        pause_after: Epochs of the whole run, or `None`; a paused run can go on later.
    """

    def __init__(self, history: History, patience: int | None, pause_after: int | None) -> None:
        super().__init__()
        self.history = history
        self.patience = patience
        self.pause_after = pause_after

    @property
    def due(self) -> bool:
        errors = [row["val_error"] for row in self.history.rows]
        if self.pause_after is not None and len(errors) >= self.pause_after:
            return True
        if self.patience is None or not errors:
            return False
        return len(errors) - 1 - errors.index(min(errors)) >= self.patience

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.model.stop_training = self.due
