"""Runs that end before their last step, and continue."""

from __future__ import annotations

import logging

import pytest

from training.config.recipes import Recipe
from training.trainer.train import Job, Options, train

pytestmark = pytest.mark.usefixtures("digits_are_few")

RECIPE = {"batch_size": 64, "held_out": 100, "augmentation": "none", "iterations": None}


@pytest.mark.slow
def test_a_paused_run_continues_as_if_it_had_not_been(tmp_path):
    job = Job("resnet8", "digits", Recipe(**RECIPE, epochs=3), width=0.5)
    paused = train(job, tmp_path / "paused", options=Options(pause_after=1, measure_test=False))
    assert [row["epoch"] for row in paused.rows] == [1]
    assert paused.test_error is None
    assert paused.validation_error == pytest.approx(paused.rows[0]["val_error"], abs=1e-3)
    continued = train(job, tmp_path / "paused")
    whole = train(job, tmp_path / "whole")
    for outcome in (continued, whole):
        assert [row["step"] for row in outcome.rows] == [6, 12, 18]
    for row, other in zip(continued.rows, whole.rows, strict=True):
        assert row["learning_rate"] == other["learning_rate"]
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-3)  # sums in another order


@pytest.mark.slow
def test_a_run_without_gain_ends_and_does_not_continue(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    recipe = Recipe(**RECIPE, epochs=40, early_stopping=2, learning_rate=0.0)
    job = Job("resnet8", "digits", recipe, width=0.5)
    epochs = [(row["val_error"], row["val_loss"]) for row in train(job, tmp_path).rows]
    assert len(epochs) < 40
    assert "no gain in 2 epochs: the run ends early" in caplog.text
    assert len(epochs) - 1 - epochs.index(min(epochs)) == 2
    assert len(train(job, tmp_path).rows) == len(epochs)


def test_without_the_test_images_others_must_be_held_out(tmp_path):
    recipe = Recipe(**{**RECIPE, "held_out": 0}, epochs=1)
    with pytest.raises(ValueError, match="held_out=0"):
        train(Job("resnet8", "digits", recipe), tmp_path, options=Options(measure_test=False))
