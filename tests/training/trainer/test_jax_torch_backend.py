"""Training on JAX and PyTorch, on machines without TensorFlow: whole, killed, and step by step."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import run_arrays
from forked_python import Program
from launch import finish, last_checkpoint, run, wait_for_checkpoints

from training.data import datasets, draws, pixel_mean
from training.models import networks
from training.trainer import learning_rate, optimizer
from training.trainer.backends.several_steps import ArraySource

SCRIPT = Path(run_arrays.__file__)

RECIPE = (
    "--set=iterations=13",
    "--set=batch_size=31",  # divides the number of test images: one program evaluates them all
    "--set=schedule=one_cycle",
    "--set=warmup_learning_rate=0.01",
    "--set=warmup_error=0.88",
    "--set=held_out=355",  # five steps an epoch
    "--set=augmentation=cifar",
    "--checkpoint-steps=4",
)


def start(backend: str, steps_per_call: str, *arguments: str) -> Program:
    variables = {"KERAS_BACKEND": backend, "WITHOUT_TENSORFLOW": "1"}
    return run([str(SCRIPT), steps_per_call, *arguments], **variables)


def training(backend: str, few_digits: Path, workdir: Path, *more: str) -> Program:
    what = ("--network=resnet8", "--width=0.25", "--dataset=digits", f"--data-dir={few_digits}")
    where = f"--workdir={workdir}"
    return start(backend, "5", "train", *what, where, "--deterministic", *RECIPE, *more)


@pytest.mark.slow
def test_jax_killed_and_resumed_bit_for_bit(few_digits: Path, tmp_path: Path) -> None:
    pytest.importorskip("jax")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    printed = finish(training("jax", few_digits, whole))
    assert "of 217 images" in printed
    for name in ("job.json", "recipe.json", "history.csv", "curve.png", "model.keras"):
        assert (whole / name).stat().st_size > 0
    assert not (whole / "events").exists()
    assert "jax" in json.loads((whole / "job.json").read_text())["versions"]
    rows = (whole / "history.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in rows] == ["step", "5", "10", "13"]  # 155 // 31

    process = training("jax", few_digits, cut)
    wait_for_checkpoints(process, cut)
    process.kill()
    process.communicate()
    assert not (cut / "result.json").exists()
    assert "resumed at step" in finish(training("jax", few_digits, cut))
    found, expected = last_checkpoint(cut), last_checkpoint(whole)
    assert found.keys() == expected.keys()
    for name, array in expected.items():  # weights, slots, metrics, rate, history, step
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert (cut / "history.csv").read_text() == (whole / "history.csv").read_text()

    # The model opens here, on TensorFlow, and its error over all test images is the reported one.
    model = keras.models.load_model(whole / "model.keras")
    test = datasets.load("digits", str(few_digits)).test
    wrong = model.predict(test.images, verbose=0).argmax(axis=1) != test.labels
    result = json.loads((whole / "result.json").read_text())
    assert result["test_error"] == pytest.approx(100 * wrong.mean(), abs=0.5)
    assert result["test_examples"] == len(test.labels) == 217


def by_hand(few_digits: Path, weights: list[np.ndarray]) -> tuple[list[float], list[np.ndarray]]:
    """The epochs' losses and the weights by `train_on_batch` on TensorFlow, step by step."""
    job = run_arrays.job(str(few_digits))
    recipe, dataset = job.recipe, datasets.load("digits", str(few_digits))
    model = networks.trainable(job.architecture, dataset)
    model.set_weights(weights)
    model.compile(optimizer.optimizer(recipe), optimizer.loss(recipe, dataset))
    drawn = draws.Draws(dataset.train.examples, 16, "cifar", seed=3)
    images, labels = dataset.train.images, dataset.train.labels
    mean = pixel_mean.pixel_mean(dataset.train)
    source = ArraySource(drawn, None, 1, 1, images=images, labels=labels, mean=mean)
    losses = []
    for step in range(run_arrays.STEPS):
        model.optimizer.learning_rate = learning_rate.rate(recipe, step, run_arrays.STEPS)
        batch = source.batch(images, labels, drawn.batch(step))
        model.reset_metrics()
        losses.append(model.train_on_batch(*batch))
    return [np.mean(losses[:5]), np.mean(losses[5:])], model.get_weights()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", pytest.param("torch", marks=pytest.mark.nightly)])
def test_the_same_steps_as_on_tensorflow(backend: str, few_digits: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    keras.utils.set_random_seed(0)
    dataset = datasets.load("digits", str(few_digits))
    weights = networks.trainable(run_arrays.job("").architecture, dataset).get_weights()
    np.savez(tmp_path / "start.npz", **{f"{i:03d}": array for i, array in enumerate(weights)})
    finish(start(backend, "1,3", "compare", str(few_digits), str(tmp_path)))
    losses, trained = by_hand(few_digits, weights)
    for steps_per_call in (1, 3):
        with np.load(tmp_path / f"{steps_per_call}.npz") as found:
            assert found["step"] == run_arrays.STEPS
            np.testing.assert_allclose(found["losses"], losses, rtol=1e-5)
            for i, array in enumerate(trained):
                np.testing.assert_allclose(found[f"{i:03d}"], array, rtol=1e-4, atol=1e-5)


def test_missing_data_and_strategies_say_what_to_do(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    for arguments, told in (
        (("--dataset=cifar10", f"--data-dir={tmp_path}"), "python -m training arrays"),
        (("--strategy=multi_worker",), "a process per GPU"),
    ):
        process = start("jax", "1", "train", f"--workdir={tmp_path / 'run'}", *arguments)
        output, _ = process.communicate(timeout=120)
        assert (process.returncode, told in output) == (1, True), output
