"""The history as TensorBoard reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from training.trainer.callbacks.history import History


class TensorBoardLog(keras.callbacks.Callback):
    """Writes every epoch's row as events to `<workdir>/events`. It stands after `history`."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self.history = history
        self.writer: Any = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.writer is None:
            self.writer = tf.summary.create_file_writer(str(self.history.directory / "events"))
        row = self.history.rows[-1]
        with self.writer.as_default(step=epoch + 1):
            for name, value in zip(self.history.recorded(list(row)), row.values(), strict=True):
                if name not in ("epoch", "step"):
                    tf.summary.scalar(name, value)
        self.writer.flush()
