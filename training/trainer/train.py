"""One training run: a job in; a directory with everything that came of it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from keras_resnet import analysis
from training.common import machine
from training.common.keras_import import silent_stderr
from training.config.jobs import Job
from training.data.splits import Split
from training.models import networks
from training.models.opened_model import opened_model
from training.trainer import announcement, backends, run
from training.trainer.backends.backend import Images
from training.trainer.callbacks import history
from training.trainer.finalize import finalize
from training.trainer.fit import fit
from training.trainer.run import Options, Run
from training.trainer.run_directory import RunDirectory
from training.trainer.training_model import build_metrics, training_model

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["Job", "Options", "Outcome", "train"]


@dataclass(frozen=True)
class Outcome:
    """The finished run. Errors are in per cent of all the split's images."""

    rows: tuple[history.Row, ...]  # the history, a row per epoch
    validation_error: float | None  # of the finished model; None: no images were held out
    test_error: float | None  # None: not measured
    test_examples: int
    skipped_images: int
    model: keras.Model  # raw pixels in, probabilities out
    model_file: Path

    @classmethod
    def of(
        cls,
        rows: list[history.Row],
        result: Mapping[str, Any],
        model: keras.Model,
        model_file: Path,
    ) -> Outcome:
        names = ("validation_error", "test_error", "test_examples", "skipped_images")
        measured = {name: result[name] for name in names}
        return cls(rows=tuple(rows), model=model, model_file=model_file, **measured)


def train(
    job: Job,
    workdir: Path,
    *,
    strategy: tf.distribute.Strategy | None = None,
    options: Options = Options(),  # noqa: B008  # frozen
) -> Outcome:
    """Trains, or continues the run of the same job in `workdir`; runs on Keras's backend.

    It writes `job.json`, `recipe.json`, `split.csv` (of a folder), `history.csv`, `steps.csv`,
    `curve.png` (if matplotlib is installed), `events/` (for TensorBoard, on TensorFlow),
    `checkpoints/`, `model.keras` (raw pixels in, probabilities out) and `result.json`.

    Args:
        job: What to train on what.
        workdir: The run's directory; of several workers all must see the same one.
        strategy: TensorFlow's, to train on; `None` is this machine's first device. The recipe's
            batch is divided among the replicas.
        options: How to carry the run out.

    Raises:
        ValueError: If the job cannot be carried out, or `workdir` holds another run.
        OSError: If the data are missing, or `workdir` cannot be written or is in use.
        training.common.errors.RunError: If the run ends early: diverged, stopped, a worker lost.
    """
    backend = backends.running(strategy)
    backend.check(job)
    if options.record_gradients and backend.replicas > 1:
        raise ValueError("Gradients are recorded on one device: give --strategy one.")
    directory = RunDirectory(workdir, writes=backend.chief)
    with directory.opened_for(job):
        with silent_stderr():  # Keras imports TensorFlow here, on the other backends too
            keras.utils.set_random_seed(job.seed)
        this = run.load(job, backend, options)
        directory.record(this)
        if directory.finished(options.measure_test):
            rows, _ = history.read(workdir / history.EPOCHS_FILE)
            model = opened_model(directory.model_file)
            return Outcome.of(rows, directory.result or {}, model, directory.model_file)
        announcement.announce(this)
        keras.config.set_dtype_policy(job.recipe.precision)
        model = training_model(this)
        with backend.readable_errors(job):
            recorded = fit(model, this, directory)
        finalize(model, this)
        keras.config.set_dtype_policy("float32")  # the finished model runs anywhere
        finished = networks.complete(model, this.architecture, this.preprocessing)
        result, steps = directory.result or {}, recorded.counter.step
        stale = result.get("steps", steps) != steps  # of a run that was paused and has gone on
        if not result or stale or (options.measure_test and result["test_error"] is None):
            result = {**evaluate(finished, this), "steps": steps}
            directory.write(finished, recorded, result)
    return Outcome.of(recorded.rows, result, finished, directory.model_file)


def evaluate(model: keras.Model, this: Run) -> dict[str, Any]:
    """Measures the finished model; returns what `result.json` holds of it."""
    # Without momentum SGD has no slots, which `load_model` would find missing in the file.
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    build_metrics(model)

    def error(split: Split) -> float:
        images = Images(split, this.image_size)  # the model subtracts the mean itself
        return 100 * (1 - this.backend.accuracy(model, images, this.evaluation_batch))

    validation = this.dataset.validation
    return {
        "validation_error": None if validation is None else error(validation),
        "test_error": error(this.dataset.test) if this.options.measure_test else None,
        "test_examples": this.dataset.test.examples,
        "skipped_images": len(this.skipped),
        "parameters": analysis.parameters(model),
        "class_names": this.dataset.class_names,
        "train_examples": this.dataset.train.examples,
        "finished": machine.now(),
        "hardware": machine.hardware(this.backend.accelerators()),
    }
