"""The time that training steps wait for their batches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


class InputWait:
    """Adds up the seconds between a step's call for a batch and the batch."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Returns the same batches, whose waiting times are added to `seconds`.

        Args:
            batches: A dataset of (images, labels). Nothing may prefetch the result.
        """
        import tensorflow as tf  # where a data set lies on the device, it may be missing

        from training.common.as_written import as_written

        def add(called: float) -> None:
            self.seconds += time.monotonic() - called

        def note(called: tf.Tensor, batch: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
            with tf.control_dependencies(batch):
                noted = tf.numpy_function(add, [called], [])
            with tf.control_dependencies([noted]):
                return tuple(tf.identity(part) for part in batch)

        # Not tf.timestamp, which TensorFlow refuses where all is to be deterministic.
        calls = tf.data.Dataset.counter().map(
            as_written(lambda _: tf.numpy_function(time.monotonic, [], tf.float64))
        )
        return tf.data.Dataset.zip(calls, batches).map(as_written(note))
