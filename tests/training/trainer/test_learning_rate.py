"""Schedules as tables of (step, rate)."""

from __future__ import annotations

import math

import pytest

from training.config.recipes import Recipe, load
from training.trainer.learning_rate import Controller, rate

COSINE = Recipe(iterations=1000, schedule="cosine", learning_rate=0.4, warmup_fraction=0.1)
ONE_CYCLE = Recipe(iterations=1000, schedule="one_cycle", learning_rate=1.0, warmup_fraction=0.2)


@pytest.mark.parametrize(
    ("recipe", "table"),
    [
        (  # section 4.2
            load("cifar10"),
            [
                (0, 0.1),
                (31_999, 0.1),
                (32_000, 0.01),
                (47_999, 0.01),
                (48_000, 0.001),
                (63_999, 0.001),
            ],
        ),
        (Recipe(iterations=10, schedule="constant"), [(0, 0.1), (9, 0.1)]),
        (COSINE, [(0, 0.004), (49, 0.2), (99, 0.4), (100, 0.4), (550, 0.2), (775, 0.058579)]),
        (ONE_CYCLE, [(0, 0.005), (99, 0.5), (200, 1.0), (400, 0.75), (600, 0.5), (999, 0.00125)]),
    ],
)
def test_rates(recipe, table):
    for step, expected in table:
        assert rate(recipe, step, recipe.iterations) == pytest.approx(expected, rel=1e-4)


def test_warm_up_ends_once_the_training_error_is_below_80_per_cent():
    controller = Controller(load("cifar10-warmup"), 64_000)
    assert controller.rate(0) == 0.01
    controller.after_step(training_error=0.9)
    controller.after_step(training_error=0.8)
    assert controller.rate(400) == 0.01
    controller.after_step(training_error=0.799)
    assert controller.rate(401) == pytest.approx(0.1)
    controller.after_step(training_error=0.95)  # it does not begin again
    assert controller.rate(402) == pytest.approx(0.1)
    assert controller.rate(32_000) == pytest.approx(0.01)


def test_plateau_divides_by_ten_after_patience_epochs_without_a_lower_error():
    controller = Controller(Recipe(schedule="plateau", patience=3), 64_000)
    seen = []
    for error in (50, 40, 41, 40, 42, 39, 39, 39, 39, 38):
        controller.after_epoch(error)
        seen.append(round(math.log10(controller.rate(0))))
    # lowest 40 after two epochs; three without a lower one; then 39, and three again
    assert seen == [-1, -1, -1, -1, -2, -2, -2, -2, -3, -3]


def test_a_controller_continues_from_its_state():
    recipe = Recipe(schedule="plateau", patience=2, warmup_learning_rate=0.001)
    first, second = Controller(recipe, 100), Controller(recipe, 100)
    first.after_step(0.5)
    for error in (50, 51, 52, 53):
        first.after_epoch(error)
    second.state = first.state
    for error in (60, 10, 11, 12):
        first.after_epoch(error)
        second.after_epoch(error)
        assert first.rate(0) == second.rate(0)
    assert second.rate(0) == pytest.approx(0.1 * 0.1**3)
