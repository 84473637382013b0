"""A run killed at any moment and started again equals the uninterrupted run bit for bit."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from launch import finish, last_checkpoint, start

from training.common.errors import PreemptedError
from training.config.recipes import Recipe
from training.trainer.callbacks.terminate_on_nan import TerminateOnNaN
from training.trainer.train import Job, train

pytestmark = pytest.mark.usefixtures("digits_are_few")

# Warm-up and plateau have memory, augmentation draws, and the run has two epochs and a rest.
RECIPE = (
    "--set=iterations=60",
    "--set=batch_size=32",
    "--set=schedule=plateau",
    "--set=patience=1",
    "--set=warmup_learning_rate=0.01",
    "--set=held_out=300",
    "--set=augmentation=cifar",
    "--checkpoint-steps=3",
    "--strategy=one",
)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("uninterrupted")
    finish(start(workdir, *RECIPE))
    return workdir


def assert_same_run(workdir: Path, reference: Path) -> None:
    found, expected = last_checkpoint(workdir), last_checkpoint(reference)
    assert found.keys() == expected.keys()
    for name, array in expected.items():  # weights, slots, metrics, rate, history, step
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    for name in ("history.csv", "steps.csv", "recipe.json"):
        assert (workdir / name).read_text() == (reference / name).read_text()
    results = [json.loads((run / "result.json").read_text()) for run in (workdir, reference)]
    moments = [result.pop("finished") for result in results]
    assert all(moments)
    assert results[0] == results[1]


def unfinished_file(workdir: Path) -> bool:
    return any((workdir / "checkpoints").glob(".writing-*"))


def killed_until_done(workdir: Path, kills: int, seed: int) -> int:
    """Kills the run `kills` times, every second time while it writes a checkpoint if possible.

    Returns how many kills left an unfinished checkpoint behind.
    """
    draw = random.Random(seed)
    torn = 0
    for number in range(kills):
        process = start(workdir, *RECIPE)
        began = time.monotonic()
        before = len(list((workdir / "checkpoints").glob("step-*.npz")))
        wait = draw.uniform(0, 1.5)
        training_since = None
        while process.poll() is None and time.monotonic() - began < 120:
            if number % 2 and unfinished_file(workdir):
                break
            if training_since is None:
                newest = list((workdir / "checkpoints").glob("step-*.npz"))
                if len(newest) > before or before == 2:
                    training_since = time.monotonic()
            elif time.monotonic() - training_since > (wait if number % 2 == 0 else 20):
                break
        process.kill()
        process.communicate()
        torn += unfinished_file(workdir)
    finish(start(workdir, *RECIPE))
    return torn


@pytest.mark.nightly
def test_killed_many_times_and_while_writing(uninterrupted, tmp_path):
    torn = 0
    for attempt in range(4):
        workdir = tmp_path / str(attempt)
        torn += killed_until_done(workdir, kills=6, seed=attempt)
        assert_same_run(workdir, uninterrupted)
    assert torn > 0, "no kill fell into the writing of a checkpoint"


@pytest.mark.slow
def test_the_run_is_the_same_whatever_ended_it_on_the_way(uninterrupted, tmp_path):
    """Asked to stop, stopped twice by Ctrl-C, killed, and its newest checkpoint damaged."""
    for signals, code, said in (
        ([signal.SIGTERM], 75, "stopped by SIGTERM after step"),
        ([signal.SIGINT], 130, "stopped by Ctrl-C after step"),
        ([signal.SIGINT, signal.SIGINT], 130, "Ctrl-C once more ends at once"),
        ([signal.SIGKILL], 137, ""),
    ):
        before = checkpoints(tmp_path)
        process = start(tmp_path, *RECIPE)
        deadline = time.monotonic() + 240
        while len(checkpoints(tmp_path) - before) < (2 if code == 137 else 1):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.05)
        output, _ = process.communicate(timeout=120)
        ended = process.returncode if process.returncode >= 0 else 128 - process.returncode
        assert (ended, said in output) == (code, True), output  # as a shell shows it
        assert "Traceback" not in output
        assert not before or "resumed at step" in output
        assert not (tmp_path / "result.json").exists()
    newest = max((tmp_path / "checkpoints").glob("step-*.npz"))
    newest.write_bytes(newest.read_bytes()[:5000])
    assert f"{newest.name} is damaged" in finish(start(tmp_path, *RECIPE))
    assert_same_run(tmp_path, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("step", [12, 20], ids=["a whole epoch", "the last, shorter epoch"])
def test_a_signal_breaks_the_evaluation_off_and_the_next_start_makes_it(
    tmp_path, monkeypatch, step
):
    recipe = Recipe(iterations=20, batch_size=64, held_out=100, augmentation="crop")
    job = Job("resnet8", "digits", recipe, width=0.25)  # 6 steps an epoch, 4 batches to evaluate
    whole = train(job, tmp_path / "whole")
    evaluated = []

    def terminated(self, batch, logs=None):
        evaluated.append(batch)
        if self.rate.counter.step == step and batch == 1:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(TerminateOnNaN, "on_test_batch_end", terminated, raising=False)
        with pytest.raises(PreemptedError, match=f"stopped by SIGTERM after step {step}; the"):
            train(job, tmp_path / "cut")
    assert evaluated[-2:] == [0, 1]  # of four
    assert train(job, tmp_path / "cut").rows == whole.rows
    (tmp_path / "cut" / "result.json").unlink()  # the epoch's end saved the run as ever
    assert train(job, tmp_path / "cut").rows == whole.rows


def checkpoints(workdir: Path) -> set[str]:
    return {path.name for path in (workdir / "checkpoints").glob("step-*.npz")}
