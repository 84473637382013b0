"""What a run prints while it trains."""

from __future__ import annotations

import re

import keras
import numpy as np

from training.data.input_wait import InputWait
from training.trainer.callbacks.progress import TrainingProgress
from training.trainer.callbacks.step_counter import StepCounter


def test_epochs_of_one_step_have_a_speed(capsys):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    images, labels = np.ones((8, 4), "f4"), np.arange(8) % 3
    counter = StepCounter(total_steps=4, epoch_steps=1)
    progress = TrainingProgress(counter, 8, "net on data", "test", InputWait())
    model.fit(
        images,
        labels,
        batch_size=8,
        epochs=4,
        validation_data=(images, labels),
        callbacks=[counter, progress],
        verbose=0,
    )
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
