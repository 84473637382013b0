"""A process of test_jax_torch_backend.py: Keras on another backend.

    KERAS_BACKEND=jax python run_arrays.py 5 train --network ...
    KERAS_BACKEND=jax python run_arrays.py 1,3 compare DATA_DIR DIRECTORY

The first argument is the number of steps in one call. `compare` reads its first weights from
DIRECTORY and writes the trained ones there.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import numpy as np

from training.cli import main as training
from training.config import recipes
from training.config.jobs import Job
from training.data import datasets
from training.trainer.backends import jax_torch_backend
from training.trainer.callbacks.step_counter import StepCounter
from training.trainer.learning_rate import Controller
from training.trainer.run import Run
from training.trainer.training_model import compiled

STEPS = 7  # that both backends make from the same weights
CHANGES = ("iterations=7", "batch_size=16", "drops=[0.3, 0.6]", "weight_decay=0.01")


def job(data_dir: str) -> Job:
    recipe = recipes.override(recipes.RECIPES["cifar10"], CHANGES)
    return Job("resnet8", "digits", recipe, seed=3, data_dir=data_dir, width=0.25)


def compare(data_dir: str, directory: Path, steps_per_call: int) -> None:
    """Writes the losses and the weights after some steps on this backend."""
    this = job(data_dir)
    dataset = datasets.load("digits", data_dir)
    backend = jax_torch_backend.JaxTorchBackend(steps_per_call=steps_per_call)
    run = Run(this, this, dataset, backend)
    model = compiled(run)
    with np.load(directory / "start.npz") as weights:
        model.set_weights([weights[name] for name in sorted(weights)])
    counter = StepCounter(STEPS, epoch_steps=5)
    rate = backend.rate(counter, Controller(this.recipe, STEPS))
    losses = []
    for steps in (5, 2):
        batches, at_once = backend.training_input(model, run.images(dataset.train), this, rate)
        history = model.fit(
            batches,
            steps_per_epoch=-(-steps // at_once),
            validation_data=backend.evaluation_input(run.images(dataset.test), 217),
            callbacks=[counter, rate],
            shuffle=False,
            verbose=0,
        )
        losses += history.history["loss"]
    ordered = {f"{i:03d}": array for i, array in enumerate(model.get_weights())}
    np.savez(directory / f"{steps_per_call}.npz", losses=losses, step=counter.step, **ordered)


def main(steps_per_call: str, command: str, *arguments: str) -> int:
    numbers = [int(number) for number in steps_per_call.split(",")]
    if command == "compare":
        data_dir, directory = arguments
        for number in numbers:
            compare(data_dir, Path(directory), number)
        return 0
    # As on an accelerator, where the backend itself takes many steps at once.
    (number,) = numbers
    jax_torch_backend.JaxTorchBackend = functools.partial(
        jax_torch_backend.JaxTorchBackend, steps_per_call=number
    )
    return training([command, *arguments])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
