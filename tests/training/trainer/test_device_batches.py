"""Batches of a data set that lies on the device, and the plans of several steps in one call."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.config.recipes import Recipe
from training.data.draws import Draws
from training.data.splits import ArraySplit
from training.trainer.backends.jax_torch_backend import EvaluationBatches, PlannedRate
from training.trainer.backends.several_steps import PhotographSource
from training.trainer.callbacks.step_counter import StepCounter
from training.trainer.learning_rate import Controller


@pytest.mark.parametrize("size", [1, 4, 7, 9, 20])
def test_evaluation_sees_every_image_once_in_order(size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 5, 6, 3), np.uint8)
    data = ArraySplit(images, np.arange(9, dtype=np.int32))
    batches = list(EvaluationBatches(data, size, np.float32(2)))
    assert len(batches) == -(-9 // size)
    images, labels = (np.concatenate([np.asarray(b[i]) for b in batches]) for i in (0, 1))
    np.testing.assert_array_equal(labels, data.labels)
    np.testing.assert_array_equal(images, data.images.astype("f4") - 2)


@settings(max_examples=30)
@given(
    total=st.integers(1, 40),
    epoch_steps=st.integers(1, 15),
    most=st.integers(1, 9),
    warm_after=st.integers(0, 20),
)
def test_plans_make_every_step_once_at_its_own_rate(
    total: int, epoch_steps: int, most: int, warm_after: int
) -> None:
    recipe = Recipe(schedule="one_cycle", warmup_fraction=0.3, warmup_learning_rate=0.01)
    counter = StepCounter(total, epoch_steps)
    rate = PlannedRate(counter, Controller(recipe, total))
    draws = Draws(50, 3, "cifar", 1)
    alone = Controller(recipe, total)  # of a run that makes one step at a time
    at_once = 1
    while counter.step < total:
        if counter.step % epoch_steps == 0:
            at_once = 1 if rate.controller.warming_up else most
        first = counter.step
        plan = PhotographSource(draws, rate, most, at_once).plan()
        steps = int(plan.steps)
        assert first // epoch_steps == (first + steps - 1) // epoch_steps  # within an epoch
        assert len(plan.rates) == len(plan.draw.places) == most
        for i in range(steps):
            assert plan.rates[i] == np.float32(alone.rate(first + i))
            np.testing.assert_equal([one[i] for one in plan.draw], [*draws.batch(first + i)])
            alone.after_step(0.9 if first + i < warm_after else 0.5)
        counter.on_train_batch_end(0)
        rate.on_train_batch_end(0, {"accuracy": 0.1 if counter.step <= warm_after else 0.5})
    assert counter.step == total
