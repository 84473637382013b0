"""A whole small run in this process: its files and its refusals."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import math

import keras
import numpy as np
import pytest
from csv_files import numbers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from training.common.errors import DivergedError
from training.config import recipes
from training.config.recipes import Recipe
from training.data import datasets
from training.trainer.callbacks import history
from training.trainer.train import Job, train

pytestmark = pytest.mark.usefixtures("digits_are_few")

RECIPE = Recipe(iterations=83, batch_size=16, augmentation="crop")
JOB = Job("resnet8", "digits", RECIPE, seed=3)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    return workdir, train(JOB, workdir)


def test_everything_is_there(run):
    workdir, _ = run
    for name in ("job.json", "recipe.json", "history.csv", "curve.png", "model.keras"):
        assert (workdir / name).stat().st_size > 0
    assert (workdir / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert recipes.load(str(workdir / "recipe.json")) == RECIPE
    assert sorted(path.name for path in (workdir / "checkpoints").iterdir())[-1] == (
        "step-000000083.npz"
    )
    assert not list(workdir.rglob(".writing-*"))


def test_history_has_a_row_per_epoch_and_the_loss_falls(run):
    history = numbers(run[0] / "history.csv")
    assert [row["step"] for row in history] == [31, 62, 83]  # 510 images, batches of 16
    assert history[-1]["loss"] < 0.75 * history[0]["loss"]
    assert history[-1]["error"] < history[0]["error"]
    # dropped after a half and three quarters of 83 steps
    assert [row["learning_rate"] for row in history] == pytest.approx([0.1, 0.01, 0.001])


def test_steps_have_the_loss_between_two_rows(run):
    points = numbers(run[0] / "steps.csv")
    assert [point["step"] for point in points] == list(range(1, 84))
    epoch = numbers(run[0] / "history.csv")[0]
    for name in ("loss", "error"):
        assert np.mean([point[name] for point in points[:31]]) == pytest.approx(epoch[name], 1e-3)


def test_a_history_of_an_older_version_is_read(run, tmp_path):
    found, role = history.read(run[0] / "history.csv")
    assert role == "test"
    older = (run[0] / "history.csv").read_text().replace("test_", "val_")
    (tmp_path / "history.csv").write_text(older)
    assert history.read(tmp_path / "history.csv") == (found, None)


def test_tensorboard_says_the_same(run):
    workdir, _ = run
    events = EventAccumulator(str(workdir / "events"), size_guidance={"tensors": 0})
    events.Reload()
    for name in ("loss", "error", "test_loss", "test_error", "learning_rate"):
        told = [float(make_ndarray(event.tensor_proto)) for event in events.Tensors(name)]
        expected = [row[name] for row in numbers(workdir / "history.csv")]
        assert told == pytest.approx(expected, rel=1e-6)


@pytest.mark.filterwarnings("error:Skipping variable loading")  # of an optimizer
def test_the_model_takes_raw_pixels_and_its_error_is_the_reported_one(run):
    workdir, outcome = run
    model = keras.models.load_model(workdir / "model.keras")
    test = datasets.load("digits").test
    probabilities = model.predict(test.images, verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    error = 100 * np.mean(probabilities.argmax(axis=1) != test.labels)
    assert outcome.test_error == pytest.approx(error)
    assert outcome.test_examples == 217
    assert json.loads((workdir / "result.json").read_text())["test_error"] == pytest.approx(error)
    # Without held-out images every epoch is evaluated on the test images, and the file says so.
    assert numbers(workdir / "history.csv")[-1]["test_error"] == pytest.approx(error, abs=1e-3)


def test_the_mean_that_was_subtracted_stands_in_front(run):
    workdir, _ = run
    model = keras.models.load_model(workdir / "model.keras")
    front = model.get_layer("mean_subtraction")
    train_images = datasets.load("digits").train.images
    np.testing.assert_allclose(
        np.squeeze(keras.ops.convert_to_numpy(front.mean)),
        train_images.astype("f8").mean(axis=0).squeeze(),
        rtol=1e-5,
        atol=1e-4,
    )


def test_a_finished_run_is_not_trained_again(run):
    workdir, outcome = run
    files = workdir / "result.json", workdir / "model.keras"
    before = [file.read_bytes() for file in files]
    again = train(JOB, workdir)
    assert again.rows == outcome.rows
    assert again.test_error == outcome.test_error
    assert [file.read_bytes() for file in files] == before


def test_another_job_in_the_same_directory_is_refused(run):
    workdir, _ = run
    other = dataclasses.replace(JOB, seed=4, recipe=dataclasses.replace(RECIPE, momentum=0.8))
    with pytest.raises(ValueError, match=r"another run.*seed, momentum.*--workdir"):
        train(other, workdir)


def test_two_runs_in_one_directory_the_second_refuses(run):
    workdir, _ = run
    with (workdir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="Another process is training"):
            train(JOB, workdir)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    recipe = recipes.override(RECIPE, ["learning_rate=1e30", "epochs=1"])
    with pytest.raises(DivergedError, match=r"step \d+, learning rate 1e\+30; no checkpoint"):
        train(dataclasses.replace(JOB, recipe=recipe), tmp_path)
    assert not list(tmp_path.glob("checkpoints/*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"label_smoothing": 0.1, "nesterov": True, "muon": 0.02},
        {"precision": "mixed_bfloat16", "accumulation": 2},
        {"precision": "mixed_float16"},
        {"jit": True},
        {"ema": 0.5, "schedule": "cosine", "warmup_fraction": 0.2},
    ],
    ids=lambda changes: ",".join(changes),
)
def test_every_choice_of_a_recipe_trains(tmp_path, changes):
    recipe = dataclasses.replace(Recipe(iterations=4, batch_size=8, augmentation="crop"), **changes)
    outcome = train(dataclasses.replace(JOB, recipe=recipe), tmp_path)
    assert math.isfinite(outcome.rows[-1]["loss"])
    model = keras.models.load_model(outcome.model_file)
    assert model.dtype_policy.name == "float32"
    assert 0 <= outcome.test_error <= 100


@pytest.mark.slow
def test_shortcut_and_seed_are_the_job_s(tmp_path):
    recipe = recipes.override(RECIPE, ["iterations=2"])
    job = dataclasses.replace(JOB, recipe=recipe, shortcut="C")
    names = [
        layer.name for layer in keras.models.load_model(train(job, tmp_path).model_file).layers
    ]
    assert "conv2_block1_0_conv" in names  # a projection where dimensions do not even grow
