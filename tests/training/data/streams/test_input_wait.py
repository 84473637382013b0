"""Seconds that steps wait for their batches."""

from __future__ import annotations

import time

import numpy as np
import tensorflow as tf

from training.data.streams.input_wait import InputWait


def batches(seconds: float) -> tf.data.Dataset:
    """Four batches that take so long each, prefetched as the training stream is."""

    def make(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        slept = tf.numpy_function(lambda: time.sleep(seconds), [], [])
        with tf.control_dependencies([slept]):
            return tf.fill((2, 3), number), tf.fill((2,), number)

    return tf.data.Dataset.range(4).map(make).prefetch(4)


def test_a_slow_input_is_waited_for_and_stays_the_same() -> None:
    wait = InputWait()
    timed = wait.timed(batches(0.25))
    assert timed.element_spec == batches(0).element_spec
    iterator = timed.as_numpy_iterator()  # the first batch begins to be made
    began, waited = time.monotonic(), 0.0
    for number in range(4):
        called = time.monotonic()
        images, labels = next(iterator)
        waited += time.monotonic() - called
        np.testing.assert_array_equal(images, np.full((2, 3), number))
        np.testing.assert_array_equal(labels, np.full(2, number))
    # One after another the batches take a second, part of which passes between the calls.
    elsewhere = time.monotonic() - began - waited
    assert 0.75 - elsewhere <= wait.seconds <= waited


def test_nobody_waits_for_what_is_there() -> None:
    wait = InputWait()
    iterator = iter(wait.timed(batches(0.0)))
    next(iterator)
    time.sleep(0.5)  # the other three are made meanwhile
    first, began = wait.seconds, time.monotonic()
    for _ in range(3):
        next(iterator)
        time.sleep(0.2)
    assert wait.seconds - first < (time.monotonic() - began) / 2
