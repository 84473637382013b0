"""One training run: data, network and recipe in; a work directory with everything in it out."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_resnet import analysis
from training import (
    callbacks,
    datasets,
    distribution,
    jobs,
    machine,
    models,
    optimization,
    pipeline,
    plots,
    recipes,
    screening,
    statistics,
)
from training.distribution import AverageMovingStatistics
from training.errors import WorkerLostError
from training.files import claimed, replacing, write_json
from training.jobs import Job
from training.progress import ProgressBar
from training.rematerialization import rematerialized
from training.schedules import Controller
from training.stopping import Stopping

logger = logging.getLogger(__name__)

CHECKPOINT_STEPS = 500


@dataclass(frozen=True)
class Outcome:
    """What a run came to. Errors are in per cent of all the split's images."""

    rows: tuple[dict[str, float], ...]  # the history, a row per epoch
    validation_error: float | None  # of the finished model; None: no images were held out
    test_error: float | None  # None: not looked at
    test_examples: int
    skipped_images: int
    model: keras.Model  # raw pixels in, probabilities out
    model_file: Path


def train(
    job: Job,
    workdir: Path,
    *,
    strategy: tf.distribute.Strategy | None = None,
    checkpoint_steps: int = CHECKPOINT_STEPS,
    pause_after: int | None = None,
    look_at_test: bool = True,
) -> Outcome:
    """Trains, or goes on with what `workdir` holds of the same job, and writes into it:

    `job.json`, `recipe.json`, `history.csv`, `curve.png`, `events/` (TensorBoard),
    `checkpoints/`, `model.keras` (raw pixels in, probabilities out) and `result.json`.

    Args:
        job: What to train.
        workdir: The run's directory; of several workers all must see the same one.
        strategy: What to train on; `None` is this machine's first device. The recipe's batch is
            divided among the replicas.
        checkpoint_steps: Steps between two checkpoints within an epoch; every epoch's end has one.
        pause_after: End after so many epochs of the whole run; a later call goes on from there.
        look_at_test: Whether to measure the test error. A search must not choose by it.

    Raises:
        ValueError: If the job cannot be, or `workdir` holds another job's run.
        OSError: If the data are missing or `workdir` cannot be written or is in use.
        training.errors.RunError: If the run ends early: diverged, preempted, a worker lost.
    """
    strategy = strategy or tf.distribute.get_strategy()
    chief = distribution.is_chief(strategy)
    replicas = strategy.num_replicas_in_sync
    if job.recipe.batch_size % replicas:
        raise ValueError(
            f"batch_size is divided among all replicas: {job.recipe.batch_size} cannot be divided "
            f"by {replicas}."
        )
    workdir.mkdir(parents=True, exist_ok=True)
    with claimed(workdir / ".lock") if chief else nullcontext():
        if chief:
            _describe(job, workdir)
        keras.utils.set_random_seed(job.seed)
        keras.config.set_dtype_policy(job.recipe.precision)
        dataset = datasets.load(
            job.dataset, job.data_dir, held_out=job.recipe.held_out, seed=job.seed
        )
        if dataset.validation is None and not look_at_test:
            raise ValueError(
                "Without looking at the test images a run needs others: hold some out of the "
                f"training images; given held_out={job.recipe.held_out}."
            )
        skipped: list[str] = []
        if job.skip_bad_images:
            dataset, skipped = screening.screened(dataset)
        mean = pipeline.pixel_mean(dataset.train)
        with strategy.scope():
            model = _compiled(job, dataset, replicas)
        try:
            rows = _fit(model, job, dataset, mean, workdir, checkpoint_steps, pause_after)
        except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
            raise WorkerLostError(
                "Another worker of this run is gone. Start the same command again on every worker: "
                "the run goes on from its last checkpoint."
            ) from error
        except (
            tf.errors.InvalidArgumentError,
            tf.errors.NotFoundError,
            tf.errors.DataLossError,
        ) as error:
            raise OSError(
                f"The images of {job.dataset} ({job.data_dir or 'the default data directory'}) "
                f"cannot be read: {error.message}"
            ) from error
        _settle(model, job, dataset, mean)
        outcome = _finish(model, job, dataset, mean, workdir, rows, len(skipped), look_at_test)
        if chief:
            _write(outcome, dataset, workdir)
        return outcome


def _compiled(job: Job, dataset: datasets.Dataset, replicas: int) -> keras.Model:
    network = models.trainable(job.architecture, dataset)
    if job.recipe.rematerialize:
        network = rematerialized(network)
    model = distribution.distributed(network)
    if replicas > 1 and job.recipe.batch_norm == "synchronized":
        distribution.synchronize_batch_norm(model)
    model.compile(
        optimizer=optimization.optimizer(job.recipe),
        loss=optimization.loss(job.recipe),
        metrics=["accuracy"],
        jit_compile=job.recipe.jit,
    )
    # Before the first step is traced, or its tracing would create the slots, and trace twice.
    model.optimizer.build(model.trainable_variables)
    if not tf.distribute.has_strategy():
        # Keras makes the metrics' variables at their first use, and a checkpoint must find them
        # before; under a strategy `fit` itself does so ahead of the first step.
        model.compute_metrics(x=None, y=np.zeros(1), y_pred=np.zeros((1, model.output_shape[-1])))
        model.reset_metrics()
    return model


def _fit(
    model: keras.Model,
    job: Job,
    dataset: datasets.Dataset,
    mean: np.ndarray,
    workdir: Path,
    checkpoint_steps: int,
    pause_after: int | None,
) -> list[dict[str, float]]:
    """`model.fit` from the newest checkpoint to the end; returns the history."""
    recipe = job.recipe
    strategy = model.distribute_strategy
    chief = distribution.is_chief(strategy)
    size = models.image_shape(job.architecture, dataset)[0]
    epoch_steps = max(1, dataset.train.examples // recipe.batch_size)
    total = recipe.iterations or recipe.epochs * epoch_steps

    clock = callbacks.Clock(total)
    rate = callbacks.Rate(clock, Controller(recipe, total))
    history = callbacks.History(workdir, clock, rate, write=chief)
    saver = callbacks.Checkpoints(
        workdir / "checkpoints",
        clock,
        {"clock": clock, "rate": rate, "history": history},
        every=checkpoint_steps,
        workers=distribution.workers(strategy),
        write=chief,
    )
    watching = [clock, rate, callbacks.Guard(clock, rate, saver)]
    if recipe.batch_norm == "per_replica" and strategy.num_replicas_in_sync > 1:
        watching.append(AverageMovingStatistics())
    if chief:
        watching.append(ProgressBar(clock, recipe.batch_size, f"{job.network} on {job.dataset}"))
    stopping = Stopping(history, recipe.early_stopping, pause_after)
    saver.set_model(model)
    saver.restore()
    if clock.step:
        logger.info("%s: going on from step %d of %d", workdir, clock.step, total)

    held_out = dataset.validation or dataset.test
    validation = pipeline.eval_batches(
        held_out,
        batch_size=distribution.evaluation_batch_size(
            held_out.examples, recipe.batch_size, strategy.num_replicas_in_sync
        ),
        mean=mean,
        image_size=size,
    )
    for epoch, epochs, steps in _stretches(clock.step, epoch_steps, total):
        if stopping.due:
            break
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
            callbacks=[*watching, history, saver, stopping],
            shuffle=False,  # the stream is shuffled
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


def _settle(model: keras.Model, job: Job, dataset: datasets.Dataset, mean: np.ndarray) -> None:
    """What comes after the last step: averaged weights, exact statistics."""
    recipe = job.recipe
    if recipe.ema:
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # of loss scaling
        optimizer.take_averages(model.trainable_variables)
    if recipe.ema or recipe.exact_batch_norm:
        statistics.recompute(
            model,
            pipeline.eval_batches(
                dataset.train,
                batch_size=recipe.batch_size,
                mean=mean,
                image_size=models.image_shape(job.architecture, dataset)[0],
            ),
        )


def _finish(
    model: keras.Model,
    job: Job,
    dataset: datasets.Dataset,
    mean: np.ndarray,
    workdir: Path,
    rows: list[dict[str, float]],
    skipped_images: int,
    look_at_test: bool,
) -> Outcome:
    """Completes the model and measures its errors."""
    keras.config.set_dtype_policy("float32")  # what is handed on runs anywhere
    finished = models.complete(model, job.architecture, mean)
    size = models.image_shape(job.architecture, dataset)[0]
    finished.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])

    def error(split: datasets.Split) -> float:
        images = pipeline.eval_batches(split, batch_size=job.recipe.batch_size, image_size=size)
        return 100 * (1 - finished.evaluate(images, return_dict=True, verbose=0)["accuracy"])

    return Outcome(
        rows=tuple(rows),
        validation_error=None if dataset.validation is None else error(dataset.validation),
        test_error=error(dataset.test) if look_at_test else None,
        test_examples=dataset.test.examples,
        skipped_images=skipped_images,
        model=finished,
        model_file=workdir / "model.keras",
    )


def _write(outcome: Outcome, dataset: datasets.Dataset, workdir: Path) -> None:
    with replacing(outcome.model_file) as temporary:
        outcome.model.save(temporary)
    plots.curve(outcome.rows, outcome.model.name, workdir / "curve.png")
    result = {
        "validation_error": outcome.validation_error,
        "test_error": outcome.test_error,
        "test_examples": outcome.test_examples,
        "skipped_images": outcome.skipped_images,
        "parameters": analysis.parameters(outcome.model),
        "class_names": dataset.class_names,
        "train_examples": dataset.train.examples,
        "finished": machine.now(),
        "hardware": machine.hardware(_accelerators()),
    }
    write_json(workdir / "result.json", result)


def _accelerators() -> list[str]:
    """The names of this process's GPUs and TPUs."""
    devices = [*tf.config.list_physical_devices("GPU"), *tf.config.list_physical_devices("TPU")]
    return [
        tf.config.experimental.get_device_details(device).get("device_name", device.device_type)
        for device in devices
    ]


def _describe(job: Job, workdir: Path) -> None:
    """Writes what this run is, or checks that the directory's run is the same.

    Raises:
        ValueError: If `workdir` holds a run of another job.
    """
    mine = jobs.values(job)
    described = workdir / "job.json"
    if described.exists():
        theirs = json.loads(described.read_text())["job"]
        flat = [{**these, **these.pop("recipe")} for these in (dict(mine), dict(theirs))]
        different = [key for key in flat[0] if flat[0][key] != flat[1].get(key)]
        if different:
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
    write_json(described, {"job": mine, "versions": versions})
