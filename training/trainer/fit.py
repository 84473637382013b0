"""From the newest checkpoint to the last step, by `model.fit`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras

from training.data import probes
from training.trainer import checkpoints
from training.trainer.callbacks import gradient_record
from training.trainer.callbacks.checkpoint_saver import CheckpointSaver
from training.trainer.callbacks.early_stopping import EarlyStopping
from training.trainer.callbacks.gradient_record import GradientRecord
from training.trainer.callbacks.history import History
from training.trainer.callbacks.learning_rate_setter import LearningRateSetter
from training.trainer.callbacks.progress import TrainingProgress
from training.trainer.callbacks.step_counter import StepCounter
from training.trainer.callbacks.terminate_on_nan import TerminateOnNaN
from training.trainer.learning_rate import Controller
from training.trainer.run import Run
from training.trainer.run_directory import RunDirectory
from training.trainer.training_model import compile_for

logger = logging.getLogger(__name__)


class Phase(NamedTuple):
    """A part of the run with the same layers frozen, and an optimizer of its own."""

    first: int  # its first step
    last: int  # the step after its last one
    top_only: bool


class Callbacks(NamedTuple):
    """The callbacks of `fit`; `every` has all of them in the order in which Keras calls them."""

    counter: StepCounter
    rate: LearningRateSetter
    saver: CheckpointSaver
    history: History
    stopping: EarlyStopping
    every: list[keras.callbacks.Callback]


def fit(model: keras.Model, run: Run, directory: RunDirectory) -> History:
    """Trains `model` in place; returns the loss and the error of the whole run.

    Keras's `fit` makes the steps. Loss and optimizer are of `trainer/optimizer.py`, the weight
    decay of `trainer/coupled_sgd.py`, the learning rate of `trainer/learning_rate.py`, the batches
    and their augmentation of `data/`, by way of `trainer/backends/`.

    Raises:
        training.common.errors.RunError: If the run ends early.
    """
    callbacks = _callbacks(run, directory)
    callbacks.saver.set_model(model)
    found = checkpoints.newest(directory.checkpoints)
    *before, last = _phases(run)
    with callbacks.saver.listening():
        for phase in (*(p for p in before if found is None or found.step < p.last), last):
            compile_for(model, run, phase.top_only)
            if found is not None:
                callbacks.saver.restore(found, new_optimizer=found.step <= phase.first)
                at = f"{found.step} of {run.total_steps}"
                logger.info("%s: resumed at step %s", directory.path, at)
                if trained := found.state.get("unevaluated"):
                    _end_epoch(model, run, trained, callbacks)
                found = None
            _fit_phase(model, run, phase, callbacks)
    return callbacks.history


def _phases(run: Run) -> list[Phase]:
    top, total = run.top_steps, run.total_steps
    phases = [Phase(0, top, top_only=True), Phase(top, total, top_only=False)]
    return [phase for phase in phases if phase.first < phase.last]


def _callbacks(run: Run, directory: RunDirectory) -> Callbacks:
    backend, recipe, options = run.backend, run.recipe, run.options
    counter = StepCounter(run.total_steps, run.epoch_steps)
    rate = backend.rate(counter, Controller(recipe, run.total_steps, run.top_steps))
    history = History(directory.path, rate, run.evaluated_role, write=backend.chief)
    saver = CheckpointSaver(
        directory.checkpoints,
        counter,
        # "clock": the step counter's name in the files of all runs so far.
        {"clock": counter, "rate": rate, "history": history},
        every=options.checkpoint_steps,
        workers=backend.workers,
        write=backend.chief,
    )
    top_steps = run.top_steps if run.top_steps < run.total_steps else 0
    stopping = EarlyStopping(history, recipe.early_stopping, options.pause_after, top_steps)
    every: list[keras.callbacks.Callback] = [counter, rate, TerminateOnNaN(rate, saver)]
    if backend.chief:
        title = f"{run.job.network} on {run.job.dataset}"
        role, wait = run.evaluated_role, backend.input_wait
        every.append(TrainingProgress(counter, recipe.batch_size, title, role, wait))
    every += [history, *backend.callbacks(recipe, history), saver, stopping]
    if options.record_gradients:
        images, labels = probes.images(run.dataset.train, gradient_record.IMAGES, run.image_size)
        every.append(
            GradientRecord(directory.path, counter, images - run.preprocessing.mean, labels)
        )
    return Callbacks(counter, rate, saver, history, stopping, every)


def _end_epoch(
    model: keras.Model, run: Run, trained: Mapping[str, float], callbacks: Callbacks
) -> None:
    """Ends an epoch as `fit` does, after a signal broke its evaluation off.

    Args:
        model: The model after the epoch's last step.
        run: The run.
        trained: The epoch's training metrics.
        callbacks: Of the run.
    """
    every = keras.callbacks.CallbackList(callbacks.every, model=model)
    found = model.evaluate(_validation(run), callbacks=every, return_dict=True, verbose=0)
    epoch = (callbacks.counter.step - 1) // callbacks.counter.epoch_steps
    evaluated = {f"val_{name}": value for name, value in found.items()}
    every.on_epoch_end(epoch, {**trained, **evaluated})


def _validation(run: Run) -> Any:
    return run.backend.validation_input(run.images(run.evaluated), run.evaluation_batch)


def _fit_phase(model: keras.Model, run: Run, phase: Phase, callbacks: Callbacks) -> None:
    validation = _validation(run)
    for epoch, epochs, steps in _stretches(callbacks.rate, phase.last):
        if callbacks.stopping.due:
            break
        training = run.images(run.dataset.train)
        batches, at_once = run.backend.training_input(model, training, run.job, callbacks.rate)
        model.fit(
            batches,
            initial_epoch=epoch,
            epochs=epoch + epochs,
            steps_per_epoch=-(-steps // at_once),
            validation_data=validation,
            callbacks=callbacks.every,
            shuffle=False,  # the stream is shuffled
            verbose=0,
        )


def _stretches(rate: LearningRateSetter, last: int) -> Iterator[tuple[int, int, int]]:
    """Yields the rest of the run as calls of `fit`: (first epoch, number of epochs, steps in each).

    These are the rest of an epoch that was cut, whole epochs, and the last epoch if the run ends
    within it. It is one epoch while the warm-up lasts: a backend may then take more steps at once.
    """
    counter = rate.counter
    while counter.step < last:
        epoch, within = divmod(counter.step, counter.epoch_steps)
        left = last - counter.step
        whole = left // counter.epoch_steps
        if within or not whole:
            yield epoch, 1, min(counter.epoch_steps - within, left)
        else:
            yield epoch, 1 if rate.controller.warming_up else whole, counter.epoch_steps
