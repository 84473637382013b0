"""The lines that a run prints while it trains."""

from __future__ import annotations

import re
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from training.data.streams.input_wait import InputWait
from training.trainer.callbacks import progress
from training.trainer.callbacks.progress import TrainingProgress
from training.trainer.callbacks.step_counter import StepCounter


def fitted(wait: InputWait, data: tf.data.Dataset, epochs: int, steps: int) -> None:
    """Trains a tiny net on batches of 8 images."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    counter = StepCounter(total_steps=epochs * steps, epoch_steps=steps)
    model.fit(
        wait.timed(data.repeat()),
        epochs=epochs,
        steps_per_epoch=steps,
        validation_data=data,
        callbacks=[counter, TrainingProgress(counter, 8, "net on data", "test", wait)],
        verbose=0,
    )


@pytest.fixture
def data() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors((np.ones((8, 4), "f4"), np.arange(8) % 3))


def test_epochs_of_one_step_have_a_speed(data, capsys):
    fitted(InputWait(), data, epochs=4, steps=1)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" step ")[2].partition(",")[0] for line in lines] == [
        f"{step}/4" for step in (1, 2, 3, 4)
    ]
    assert "images/s" not in lines[0]  # nothing but the step that compiles
    for line in lines[1:]:
        speed = re.search(r" ([\d,]+) images/s", line)
        assert speed is not None
        assert int(speed[1].replace(",", "")) > 0
        assert "test error" in line


def test_an_input_that_cannot_keep_up_is_told_once_with_its_seconds(data, capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BEFORE_ESTIMATE", 0.2)

    def late(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.control_dependencies([tf.numpy_function(lambda: time.sleep(0.1), [], [])]):
            return tf.identity(images), labels

    fitted(InputWait(), data.map(late), epochs=2, steps=5)
    *warnings, first, second = (
        line for line in capsys.readouterr().err.splitlines() if "left, evaluations" not in line
    )
    (warning,) = warnings
    share = re.search(r"wait for their images (\d+)% of the time; docs/distributed.md", warning)
    assert 25 < int(share[1]) <= 100
    for line in (first, second):  # 0.1 s, and what of it passes before a step asks
        assert 0.05 < float(re.search(r"input ([\d.]+) s a step, loss", line)[1]) < 1
