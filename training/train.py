"""One training run: data, network and recipe in; a work directory with everything in it out."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from training import callbacks, datasets, models, optimization, pipeline, plots, recipes
from training.progress import ProgressBar
from training.recipes import Recipe
from training.schedules import Controller

if os.name == "posix":
    import fcntl

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 300.0


@dataclass(frozen=True)
class Job:
    """What is trained on what; with the recipe and the seed it determines the outcome."""

    network: str
    dataset: str
    recipe: Recipe
    seed: int = 0
    shortcut: str | None = None  # None: the network's own
    data_dir: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What a run came to. Errors are in per cent of all the split's images."""

    rows: tuple[dict[str, float], ...]  # the history, a row per epoch
    test_error: float
    test_examples: int
    model_file: Path


def train(
    job: Job,
    workdir: Path,
    *,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Outcome:
    """Trains, or goes on with what `workdir` holds of the same job, and writes into it:

    `recipe.json`, `job.json`, `history.csv`, `curve.png`, `events/` (TensorBoard),
    `checkpoints/`, `model.keras` (raw pixels in, probabilities out) and `result.json`.

    Raises:
        ValueError: If the job cannot be, or `workdir` holds another job's run.
        OSError: If the data are missing or `workdir` cannot be written or is in use.
        training.errors.DivergedError: If the loss is no longer a number.
        training.errors.PreemptedError: After SIGTERM, when everything is saved.
    """
    with _claimed(workdir):
        _describe(job, workdir)
        keras.utils.set_random_seed(job.seed)
        keras.config.set_dtype_policy(job.recipe.precision)
        dataset = datasets.load(
            job.dataset, job.data_dir, held_out=job.recipe.held_out, seed=job.seed
        )
        mean = pipeline.pixel_mean(dataset.train)
        model = models.trainable(job.network, job.shortcut, dataset)
        model.compile(
            optimizer=optimization.optimizer(job.recipe),
            loss=optimization.loss(job.recipe),
            metrics=["accuracy"],
            jit_compile=job.recipe.jit,
        )
        # Before the first step is traced, or its tracing would create the slots, and trace twice.
        model.optimizer.build(model.trainable_variables)

        rows = _fit(model, job, dataset, mean, workdir, checkpoint_seconds)
        return _finish(model, job, dataset, mean, workdir, rows)


def _fit(
    model: keras.Model,
    job: Job,
    dataset: datasets.Dataset,
    mean: np.ndarray,
    workdir: Path,
    checkpoint_seconds: float,
) -> list[dict[str, float]]:
    """`model.fit` from the newest checkpoint to the end; returns the history."""
    recipe = job.recipe
    size = models.image_shape(job.network, dataset)[0]
    epoch_steps = max(1, dataset.train.examples // recipe.batch_size)
    total = recipe.iterations or recipe.epochs * epoch_steps

    clock = callbacks.Clock(total)
    rate = callbacks.Rate(clock, Controller(recipe, total))
    history = callbacks.History(workdir, clock, rate)
    saver = callbacks.Checkpoints(
        workdir / "checkpoints",
        clock,
        {"clock": clock, "rate": rate, "history": history},
        every=checkpoint_seconds,
    )
    guard = callbacks.Guard(clock, rate, saver)
    bar = ProgressBar(clock, recipe.batch_size, f"{job.network} on {job.dataset}")
    saver.set_model(model)
    saver.restore()
    if clock.step:
        logger.info("%s: going on from step %d of %d", workdir, clock.step, total)

    validation = pipeline.eval_batches(
        dataset.validation or dataset.test,
        batch_size=recipe.batch_size,
        mean=mean,
        image_size=size,
    )
    for epoch, epochs, steps in _stretches(clock.step, epoch_steps, total):
        batches = pipeline.train_batches(
            dataset.train,
            augmentation=recipe.augmentation,
            batch_size=recipe.batch_size,
            mean=mean,
            seed=job.seed,
            first_step=clock.step,
            image_size=size,
        )
        model.fit(
            batches,
            initial_epoch=epoch,
            epochs=epoch + epochs,
            steps_per_epoch=steps,
            validation_data=validation,
            callbacks=[clock, rate, guard, bar, history, saver],
            verbose=0,
        )
    return history.rows


def _stretches(step: int, epoch_steps: int, total: int) -> Iterator[tuple[int, int, int]]:
    """What is left as calls of `fit`: (first epoch, number of epochs, steps in each).

    The rest of an epoch that was cut, whole epochs, and the last epoch if the run ends within it.
    """
    while step < total:
        epoch, within = divmod(step, epoch_steps)
        whole = (total - step) // epoch_steps
        if within:
            epochs, steps = 1, min(epoch_steps - within, total - step)
        elif whole:
            epochs, steps = whole, epoch_steps
        else:
            epochs, steps = 1, total - step
        yield epoch, epochs, steps
        step += epochs * steps


def _finish(
    model: keras.Model,
    job: Job,
    dataset: datasets.Dataset,
    mean: np.ndarray,
    workdir: Path,
    rows: list[dict[str, float]],
) -> Outcome:
    """Writes the model, its test error and the curve."""
    keras.config.set_dtype_policy("float32")  # what is handed on runs anywhere
    finished = models.complete(model, job.shortcut, mean)
    model_file = workdir / "model.keras"
    temporary = workdir / ".model.keras"
    finished.save(temporary)
    os.replace(temporary, model_file)

    size = models.image_shape(job.network, dataset)[0]
    finished.compile(metrics=["accuracy"])
    scores = finished.evaluate(
        pipeline.eval_batches(dataset.test, batch_size=job.recipe.batch_size, image_size=size),
        return_dict=True,
        verbose=0,
    )
    outcome = Outcome(
        rows=tuple(rows),
        test_error=100 * (1 - scores["accuracy"]),
        test_examples=dataset.test.examples,
        model_file=model_file,
    )
    plots.curve(rows, job.network, workdir / "curve.png")
    result = {"test_error": outcome.test_error, "test_examples": outcome.test_examples}
    _write_json(workdir / "result.json", {**result, "classes": dataset.class_names})
    return outcome


def _describe(job: Job, workdir: Path) -> None:
    """Writes what this run is, or checks that the directory's run is the same.

    Raises:
        ValueError: If `workdir` holds a run of another job.
    """
    mine = json.loads(json.dumps({k: v for k, v in asdict(job).items() if k != "data_dir"}))
    described = workdir / "job.json"
    if described.exists():
        theirs = json.loads(described.read_text())["job"]
        if theirs != mine:
            different = sorted(
                {k for k in mine if mine[k] != theirs.get(k)} - {"recipe"}
                | {k for k, v in mine["recipe"].items() if theirs.get("recipe", {}).get(k) != v}
            )
            raise ValueError(
                f"{workdir} holds another run: it differs in {', '.join(different)}. Give another "
                "--workdir, or the same arguments to go on with it."
            )
        return
    versions = {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }
    recipes.save(job.recipe, workdir / "recipe.json")
    _write_json(described, {"job": mine, "versions": versions})


@contextmanager
def _claimed(workdir: Path) -> Iterator[None]:
    """Keeps a second run out of `workdir`; the lock goes with the process, however it ends.

    Raises:
        OSError: If another process trains there, or the directory cannot be written.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / ".lock").open("w") as lock:
        if os.name == "posix":
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OSError(
                    f"Another process is training in {workdir}. Wait for it, or give another "
                    "--workdir."
                ) from error
        yield


def _write_json(path: Path, values: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(values, indent=2) + "\n")
    os.replace(temporary, path)
