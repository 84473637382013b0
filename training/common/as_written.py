"""A switch of TensorFlow's AutoGraph."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf

F = TypeVar("F", bound=Callable[..., object])


def as_written(function: F) -> F:
    """A decorator: TensorFlow traces the function, and those that it maps over data, as written.

    AutoGraph would take a second of a run's start to find nothing in them that it must rewrite.
    """
    decorated: F = tf.autograph.experimental.do_not_convert(function)
    return decorated
