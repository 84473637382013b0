"""Training on JAX and PyTorch: the data set lies on the device, and one device trains."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from training.config.recipes import Recipe
from training.data import array_files
from training.data.draws import Draws
from training.data.splits import ArraySplit, Split
from training.trainer.backends.several_steps import STEPPING, Source
from training.trainer.callbacks.history import History
from training.trainer.callbacks.learning_rate_setter import LearningRateSetter
from training.trainer.callbacks.step_counter import StepCounter
from training.trainer.learning_rate import Controller

if TYPE_CHECKING:
    from training.config.jobs import Job

# Between two looks of the host: 50 ms of a ResNet-20 that takes a millisecond for each. On a CPU,
# where a step takes far longer, a look costs nothing.
STEPS_PER_CALL = 50
EVALUATION_BATCH = 1000  # images; nothing is kept for a backward pass


class JaxTorchBackend:
    """Implements `training.trainer.backends.backend.Backend`.

    Args:
        steps_per_call: Steps between two looks of the host; `None`: 50 on an accelerator, else 1.
            The outcome does not depend on it.
    """

    chief = True
    workers = 1
    builds_metrics = False

    def __init__(self, steps_per_call: int | None = None) -> None:
        self.backend = keras.backend.backend()
        if self.backend not in STEPPING:
            raise ValueError(
                f"Nets are trained on tensorflow, {' or '.join(STEPPING)}; KERAS_BACKEND chooses "
                f"{self.backend}."
            )
        self.steps_per_call = steps_per_call or (STEPS_PER_CALL if self.accelerators() else 1)

    def check(self, job: Job) -> None:
        if job.dataset not in array_files.NAMES:
            raise ValueError(
                f"On {self.backend} a net is trained on {' or '.join(array_files.NAMES)}; the "
                f"photographs of {job.dataset} are read by TensorFlow: unset KERAS_BACKEND."
            )

    def versions(self) -> dict[str, str]:
        return {self.backend: importlib.import_module(self.backend).__version__}

    def accelerators(self) -> list[str]:
        if self.backend == "jax":
            import jax

            return [d.device_kind for d in jax.local_devices()[:1] if d.platform != "cpu"]
        import torch

        return [torch.cuda.get_device_name()] if torch.cuda.is_available() else []

    def scope(self) -> AbstractContextManager:
        return nullcontext()

    def readable_errors(self, job: Job) -> AbstractContextManager:
        return nullcontext()  # all data are in memory

    def model(self, network: keras.Model, recipe: Recipe) -> keras.Model:
        return STEPPING[self.backend](network.inputs, network.outputs, name=network.name)

    def jit_compile(self, recipe: Recipe) -> bool | str:
        return True if recipe.jit else "auto"  # on JAX nothing else is of use

    def rate(self, counter: StepCounter, controller: Controller) -> LearningRateSetter:
        return PlannedRate(counter, controller)

    def callbacks(self, recipe: Recipe, history: History) -> list[keras.callbacks.Callback]:
        return []

    def training_input(
        self,
        model: keras.Model,
        split: Split,
        job: Job,
        mean: np.ndarray,
        size: int,
        rate: LearningRateSetter,
    ) -> tuple[Any, int]:
        draws = Draws(split.examples, job.recipe.batch_size, job.recipe.augmentation, job.seed)
        # One by one while any step's error may end the warm-up.
        at_once = 1 if rate.controller.warming_up else self.steps_per_call
        model.source = Source(draws, mean, rate, self.steps_per_call, at_once)
        return _again_and_again(split), at_once

    def evaluation_input(
        self, split: Split, batch_size: int, size: int, mean: np.ndarray | None = None
    ) -> Any:
        return EvaluationBatches(split, batch_size, mean)

    def validation_batch_size(self, examples: int, at_most: int) -> int:
        batches = -(-examples // EVALUATION_BATCH)
        return -(-examples // batches)  # all alike, if that can be: one program fits them all


class PlannedRate(LearningRateSetter):
    """A rate that a call's plan asks for, since it makes several steps."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Nothing: setting the optimizer's would fetch the whole state from the device."""


class EvaluationBatches(keras.utils.PyDataset):
    """Every image once, in the split's order; the last batch may be smaller. On the device."""

    def __init__(self, split: ArraySplit, batch_size: int, mean: np.ndarray | None) -> None:
        super().__init__()
        self.images, self.labels = _on_device(split)
        self.batch_size = batch_size
        self.mean = 0.0 if mean is None else mean

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        if number >= len(self):
            raise IndexError(number)  # which ends a `for` over the batches
        chosen = slice(number * self.batch_size, (number + 1) * self.batch_size)
        return ops.cast(self.images[chosen], "float32") - self.mean, self.labels[chosen]


def _again_and_again(split: ArraySplit) -> Iterator[tuple[Any, Any]]:
    whole = _on_device(split)
    while True:
        yield whole


def _on_device(split: ArraySplit) -> tuple[Any, Any]:
    return ops.convert_to_tensor(split.images), ops.convert_to_tensor(split.labels)
