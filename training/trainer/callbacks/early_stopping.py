"""The end of a run before its last step: by the validation error, or for a pause."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import keras

from training.trainer.callbacks.history import History

logger = logging.getLogger(__name__)


class EarlyStopping(keras.callbacks.Callback):
    """Ends `fit` at an epoch's end. It stands behind the history, which is its only memory.

    Args:
        history: The run's epochs; a resumed run has them all.
        patience: Epochs in a row that end the run if none has a lower validation error, or the
            same error at a lower loss; or `None`.
        pause_after: Epochs of the whole run after which to pause, or `None`; the run can be
            resumed later.
        top_steps: Steps that train the top alone before the network trains: their epochs are not
            counted, or a top that has learnt what it can would end the run.
    """

    def __init__(
        self, history: History, patience: int | None, pause_after: int | None, top_steps: int = 0
    ) -> None:
        super().__init__()
        self.history = history
        self.patience = patience
        self.pause_after = pause_after
        self.top_steps = top_steps

    @property
    def due(self) -> bool:
        epochs = len(self.history.rows)
        return self.without_gain or (self.pause_after is not None and epochs >= self.pause_after)

    @property
    def without_gain(self) -> bool:
        rows = self.history.rows
        if self.patience is None or not rows:
            return False
        epochs = [(row["val_error"], row["val_loss"]) for row in rows]
        since = rows[epochs.index(min(epochs)) + 1 :]
        return sum(row["step"] > self.top_steps for row in since) >= self.patience

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.model.stop_training = self.due
        if self.without_gain:
            logger.info("no gain in %d epochs: the run ends early", self.patience)
