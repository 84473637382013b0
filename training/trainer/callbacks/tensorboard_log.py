"""The history for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from training.trainer.callbacks.standard import COLUMNS, History


class Events(keras.callbacks.Callback):
    """Every epoch's row of the history as events in `<workdir>/events`. Stands after `history`."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self.history = history
        self.writer: Any = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.writer is None:
            self.writer = tf.summary.create_file_writer(str(self.history.workdir / "events"))
        row = self.history.rows[-1]
        with self.writer.as_default(step=epoch + 1):
            for name in COLUMNS[2:]:
                tf.summary.scalar(name, row[name])
        self.writer.flush()
