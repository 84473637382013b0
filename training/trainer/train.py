"""One training run: data, network and recipe in; a work directory with everything in it out."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_resnet import analysis
from training.common import machine
from training.common.files import atomic_write, exclusive_lock, write_json
from training.config import jobs, recipes
from training.config.jobs import Job
from training.data import datasets, pixel_mean, probes
from training.data.splits import Dataset, Split
from training.models import batch_norm_statistics, networks
from training.models.gradient_checkpointing import rematerialized
from training.trainer import backends
from training.trainer import optimizer as optimization
from training.trainer.backends.backend import Backend
from training.trainer.callbacks import gradient_record
from training.trainer.callbacks.checkpoint_saver import CheckpointSaver
from training.trainer.callbacks.early_stopping import EarlyStopping
from training.trainer.callbacks.gradient_record import GradientRecord
from training.trainer.callbacks.history import History
from training.trainer.callbacks.progress import TrainingProgress
from training.trainer.callbacks.step_counter import StepCounter
from training.trainer.callbacks.terminate_on_nan import TerminateOnNaN
from training.trainer.learning_rate import Controller

if TYPE_CHECKING:
    import tensorflow as tf

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
    record_gradients: bool = False,
) -> Outcome:
    """Trains, or goes on with what `workdir` holds of the same job, and writes into it:

    `job.json`, `recipe.json`, `history.csv`, `curve.png` (if matplotlib is installed), `events/`
    (TensorBoard; on TensorFlow), `checkpoints/`, `model.keras` (raw pixels in, probabilities out)
    and `result.json`. Runs on the backend that Keras runs on: `training.trainer.backends`.

    Args:
        job: What to train.
        workdir: The run's directory; of several workers all must see the same one.
        strategy: TensorFlow's, to train on; `None` is this machine's first device. The recipe's
            batch is divided among the replicas.
        checkpoint_steps: Steps between two checkpoints within an epoch; every epoch's end has one.
        pause_after: End after so many epochs of the whole run; a later call goes on from there.
        look_at_test: Whether to measure the test error. A search must not choose by it.
        record_gradients: Whether to write the norm of each layer's gradient at every epoch's end
            to `gradients.csv`, on one device.

    Raises:
        ValueError: If the job cannot be, or `workdir` holds another job's run.
        OSError: If the data are missing or `workdir` cannot be written or is in use.
        training.common.errors.RunError: If the run ends early: diverged, preempted, a worker lost.
    """
    backend = backends.running(strategy)
    backend.check(job)
    if record_gradients and strategy is not None and strategy.num_replicas_in_sync > 1:
        raise ValueError("Gradients are recorded on one device: give --strategy one.")
    workdir.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(workdir / ".lock") if backend.chief else nullcontext():
        if backend.chief:
            _describe(job, workdir, backend)
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
            from training.data import screening  # TensorFlow's, as all photographs are

            dataset, skipped = screening.screened(dataset)
        mean = pixel_mean.pixel_mean(dataset.train)
        with backend.scope():
            model = compiled(job, dataset, backend)
        with backend.readable_errors(job):
            rows = _fit(
                model,
                job,
                dataset,
                mean,
                workdir,
                checkpoint_steps,
                pause_after,
                record_gradients,
                backend,
            )
        _settle(model, job, dataset, mean, backend)
        outcome = _finish(
            model, job, dataset, mean, workdir, rows, len(skipped), look_at_test, backend
        )
        if backend.chief:
            _write(outcome, dataset, workdir, backend)
        return outcome


def compiled(job: Job, dataset: Dataset, backend: Backend) -> keras.Model:
    scan = networks.scans(job.architecture, job.recipe)
    network = networks.trainable(job.architecture, dataset, scan)
    if job.recipe.rematerialize:
        network = rematerialized(network)
    model = backend.model(network, job.recipe)
    model.compile(
        optimizer=optimization.optimizer(job.recipe),
        loss=optimization.loss(job.recipe),
        metrics=["accuracy"],
        jit_compile=backend.jit_compile(job.recipe),
    )
    # Before the first step is traced, or its tracing would create the slots, and trace twice.
    model.optimizer.build(model.trainable_variables)
    if not backend.builds_metrics:
        # Keras makes the metrics' variables at their first use, and a checkpoint must find them
        # before; under a strategy `fit` itself does so ahead of the first step.
        model.compute_metrics(x=None, y=np.zeros(1), y_pred=np.zeros((1, model.output_shape[-1])))
        model.reset_metrics()
    return model


def _fit(
    model: keras.Model,
    job: Job,
    dataset: Dataset,
    mean: np.ndarray,
    workdir: Path,
    checkpoint_steps: int,
    pause_after: int | None,
    record_gradients: bool,
    backend: Backend,
) -> list[dict[str, float]]:
    """`model.fit` from the newest checkpoint to the end; returns the history."""
    recipe = job.recipe
    size = networks.image_shape(job.architecture, dataset)[0]
    epoch_steps = max(1, dataset.train.examples // recipe.batch_size)
    total = recipe.iterations or recipe.epochs * epoch_steps

    counter = StepCounter(total, epoch_steps)
    controller = Controller(recipe, total)
    rate = backend.rate(counter, controller)
    history = History(workdir, counter, rate, write=backend.chief)
    saver = CheckpointSaver(
        workdir / "checkpoints",
        counter,
        {"clock": counter, "rate": rate, "history": history},
        every=checkpoint_steps,
        workers=backend.workers,
        write=backend.chief,
    )
    watching = [counter, rate, TerminateOnNaN(rate, saver)]
    if backend.chief:
        watching.append(
            TrainingProgress(counter, recipe.batch_size, f"{job.network} on {job.dataset}")
        )
    stopping = EarlyStopping(history, recipe.early_stopping, pause_after)
    watching += [history, *backend.callbacks(recipe, history), saver, stopping]
    if record_gradients:
        images, labels = probes.images(dataset.train, gradient_record.IMAGES, size)
        watching.append(GradientRecord(workdir, counter, images - mean, labels))
    saver.set_model(model)
    saver.restore()
    if counter.step:
        logger.info("%s: going on from step %d of %d", workdir, counter.step, total)

    held_out = dataset.validation or dataset.test
    validation = backend.evaluation_input(
        held_out,
        backend.validation_batch_size(held_out.examples, recipe.batch_size),
        size,
        mean,
    )
    for epoch, epochs, steps in _stretches(counter, controller):
        if stopping.due:
            break
        batches, at_once = backend.training_input(model, dataset.train, job, mean, size, rate)
        model.fit(
            batches,
            initial_epoch=epoch,
            epochs=epoch + epochs,
            steps_per_epoch=-(-steps // at_once),
            validation_data=validation,
            callbacks=watching,
            shuffle=False,  # the stream is shuffled
            verbose=0,
        )
    return history.rows


def _stretches(counter: StepCounter, controller: Controller) -> Iterator[tuple[int, int, int]]:
    """What is left as calls of `fit`: (first epoch, number of epochs, steps in each).

    The rest of an epoch that was cut, whole epochs, and the last epoch if the run ends within it.
    One epoch while the warm-up lasts: an backend may then take more steps at once.
    """
    while counter.step < counter.total_steps:
        epoch, within = divmod(counter.step, counter.epoch_steps)
        left = counter.total_steps - counter.step
        whole = left // counter.epoch_steps
        if within or not whole:
            yield epoch, 1, min(counter.epoch_steps - within, left)
        else:
            yield epoch, 1 if controller.warming_up else whole, counter.epoch_steps


def _settle(
    model: keras.Model, job: Job, dataset: Dataset, mean: np.ndarray, backend: Backend
) -> None:
    """What comes after the last step: averaged weights, exact statistics."""
    recipe = job.recipe
    if recipe.ema:
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # of loss scaling
        optimizer.take_averages(model.trainable_variables)
    if recipe.ema or recipe.exact_batch_norm:
        size = networks.image_shape(job.architecture, dataset)[0]
        batches = backend.evaluation_input(dataset.train, recipe.batch_size, size, mean)
        batch_norm_statistics.recompute(model, batches)


def _finish(
    model: keras.Model,
    job: Job,
    dataset: Dataset,
    mean: np.ndarray,
    workdir: Path,
    rows: list[dict[str, float]],
    skipped_images: int,
    look_at_test: bool,
    backend: Backend,
) -> Outcome:
    """Completes the model and measures its errors."""
    keras.config.set_dtype_policy("float32")  # what is handed on runs anywhere
    finished = networks.complete(model, job.architecture, mean)
    size = networks.image_shape(job.architecture, dataset)[0]
    finished.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])

    def error(split: Split) -> float:
        images = backend.evaluation_input(split, job.recipe.batch_size, size)
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


def _write(outcome: Outcome, dataset: Dataset, workdir: Path, backend: Backend) -> None:
    with atomic_write(outcome.model_file) as temporary:
        outcome.model.save(temporary)
    try:
        from training.common import figures  # matplotlib's, which nothing else here needs
    except ModuleNotFoundError as error:
        logger.info("%s: no curve.png, since %s is not installed", workdir, error.name)
    else:
        figures.curve(outcome.rows, outcome.model.name, workdir / "curve.png")
    result = {
        "validation_error": outcome.validation_error,
        "test_error": outcome.test_error,
        "test_examples": outcome.test_examples,
        "skipped_images": outcome.skipped_images,
        "parameters": analysis.parameters(outcome.model),
        "class_names": dataset.class_names,
        "train_examples": dataset.train.examples,
        "finished": machine.now(),
        "hardware": machine.hardware(backend.accelerators()),
    }
    write_json(workdir / "result.json", result)


def _describe(job: Job, workdir: Path, backend: Backend) -> None:
    """Writes what this run is, or checks that the directory's run is the same.

    Raises:
        ValueError: If `workdir` holds a run of another job.
    """
    mine = jobs.values(job)
    described = workdir / "job.json"
    if described.exists():
        found = json.loads(described.read_text())
        theirs = found["job"]
        flat = [{**these, **these.pop("recipe")} for these in (dict(mine), dict(theirs))]
        different = [key for key in flat[0] if flat[0][key] != flat[1].get(key)]
        if different:
            raise ValueError(
                f"{workdir} holds another run: it differs in {', '.join(different)}. Give another "
                "--workdir, or the same arguments to go on with it."
            )
        if not backend.versions().keys() <= found["versions"].keys():
            raise ValueError(
                f"{workdir} holds a run that began on another backend ({found['versions']}), which "
                "draws other numbers. Give another --workdir, or that backend as KERAS_BACKEND."
            )
        return
    versions = {
        "python": platform.python_version(),
        "keras": keras.__version__,
        **backend.versions(),
    }
    recipes.save(job.recipe, workdir / "recipe.json")
    write_json(described, {"job": mine, "versions": versions})
