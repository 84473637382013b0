"""Drawn numbers as a tf.data.Dataset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def of_steps(draw: Callable[[int], Any], first_step: int) -> tf.data.Dataset:
    """Returns the endless dataset of what `draw` gives for each step from `first_step` on.

    Args:
        draw: From a step to an array or a tuple of arrays, whose shapes and types are the same for
            every step.
        first_step: The first step.
    """
    example = draw(first_step)
    arrays = tf.nest.flatten(example)
    types = [tf.as_dtype(array.dtype) for array in arrays]

    def drawn(step: tf.Tensor) -> Any:
        # Not stateful, since the numbers of a step are always the same.
        tensors = tf.numpy_function(
            lambda number: tf.nest.flatten(draw(int(number))), [step], types, stateful=False
        )
        for tensor, array in zip(tensors, arrays, strict=True):
            tensor.set_shape(array.shape)
        return tf.nest.pack_sequence_as(example, tensors)

    return tf.data.Dataset.counter(first_step).map(drawn)
