"""Runs that end before their last step, and continue."""

from __future__ import annotations

import logging
import signal
from types import SimpleNamespace

import pytest

from training.config.recipes import Recipe
from training.trainer import train as trainer
from training.trainer.callbacks.early_stopping import EarlyStopping
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
def test_a_run_that_was_killed_before_its_new_result_is_measured_again(tmp_path, monkeypatch):
    job = Job("resnet8", "digits", Recipe(**RECIPE, epochs=2), width=0.5)
    paused = train(job, tmp_path, options=Options(pause_after=1))
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "evaluate", lambda *_: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            train(job, tmp_path)
    whole = train(job, tmp_path)
    last = whole.rows[-1]["val_error"]
    assert whole.validation_error == pytest.approx(last, abs=1e-3)
    assert last != pytest.approx(paused.validation_error, abs=1e-3)


def test_epochs_of_the_top_alone_do_not_end_a_run():
    errors = [5, 4, 6, 6, 6, 6, 6]  # per cent; the top trains alone for four epochs of ten steps
    rows = [{"step": 10.0 * (i + 1), "val_error": e, "val_loss": 1.0} for i, e in enumerate(errors)]
    ended = [
        EarlyStopping(SimpleNamespace(rows=rows[:n]), 2, None, top_steps=40).due
        for n in range(len(rows) + 1)
    ]
    assert ended.index(True) == 6  # two epochs of the whole network
    assert EarlyStopping(SimpleNamespace(rows=rows[:4]), 2, None).due


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
