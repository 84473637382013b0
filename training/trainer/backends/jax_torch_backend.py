"""Training on JAX and PyTorch.

A data set of small images lies on the device. Photographs are read by TensorFlow, on the CPU.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from training.common.keras_import import import_tensorflow
from training.config.recipes import Recipe
from training.data.draws import Draws
from training.data.prepared import array_files
from training.data.splits import ArraySplit
from training.data.streams.input_wait import InputWait
from training.trainer.backends import data_parallel
from training.trainer.backends.backend import Backend, Images
from training.trainer.backends.data_parallel import DataParallel
from training.trainer.backends.several_steps import STEPPING, ArraySource, PhotographSource
from training.trainer.callbacks.learning_rate_setter import LearningRateSetter
from training.trainer.callbacks.step_counter import StepCounter
from training.trainer.learning_rate import Controller

if TYPE_CHECKING:
    from training.config.jobs import Job

# On an accelerator: 50 ms of a ResNet-20, whose step takes a millisecond. On a CPU, where a step
# takes far longer, the host may read the loss after each.
STEPS_PER_CALL = 50
EVALUATION_BATCH = 1000  # small images; nothing is kept for a backward pass


class JaxTorchBackend(Backend):
    """Training on JAX or PyTorch, whichever runs.

    Args:
        devices: What to train on; `None` is this machine's first device.
        steps_per_call: Steps after which the host reads the loss; `None`: 50 on an accelerator,
            else 1. The outcome does not depend on it.
    """

    chief = True
    workers = 1
    worker = 0
    builds_metrics = False

    def __init__(
        self, devices: DataParallel | None = None, steps_per_call: int | None = None
    ) -> None:
        self.backend = keras.backend.backend()
        if self.backend not in STEPPING:
            raise ValueError(
                f"Nets are trained on tensorflow, {' or '.join(STEPPING)}; KERAS_BACKEND chooses "
                f"{self.backend}."
            )
        self.devices = devices
        self.input_wait = InputWait()
        self.replicas = devices.devices if devices else 1
        self.steps_per_call = steps_per_call or (STEPS_PER_CALL if self.accelerators() else 1)

    def check(self, job: Job) -> None:
        if job.recipe.batch_size % self.replicas:
            raise ValueError(
                f"batch_size is divided among all devices: {job.recipe.batch_size} cannot be "
                f"divided by {self.replicas}."
            )
        if self.replicas > 1 and job.recipe.batch_norm != "synchronized":
            raise ValueError(
                f"On {self.backend} batch norm takes its statistics over all devices' images: set "
                f"batch_norm=synchronized; given batch_norm={job.recipe.batch_norm}."
            )
        if job.dataset not in array_files.NAMES:
            _prepare_reader(job.dataset, self.backend)

    def versions(self) -> dict[str, str]:
        return {self.backend: importlib.import_module(self.backend).__version__}

    def accelerators(self) -> list[str]:
        if self.backend == "jax":
            import jax

            used = jax.local_devices()[: self.replicas]
            return [device.device_kind for device in used if device.platform != "cpu"]
        import torch

        return [torch.cuda.get_device_name()] if torch.cuda.is_available() else []

    def scope(self) -> AbstractContextManager[Any]:
        return self.devices.scope() if self.devices else nullcontext()

    def readable_errors(self, job: Job) -> AbstractContextManager[Any]:
        if job.dataset in array_files.NAMES:
            return nullcontext()  # all data are in memory
        from training.data.decoding.reading_errors import readable_errors

        return readable_errors(job.dataset, job.data_dir)

    def model(self, network: keras.Model, recipe: Recipe) -> keras.Model:
        model = STEPPING[self.backend](network.inputs, network.outputs, name=network.name)
        if self.devices:
            model.devices = self.devices
        return model

    def jit_compile(self, recipe: Recipe) -> bool | str:
        return True if recipe.jit else "auto"  # on JAX nothing else is of use

    def rate(self, counter: StepCounter, controller: Controller) -> LearningRateSetter:
        return PlannedRate(counter, controller)

    def training_input(
        self, model: keras.Model, images: Images, job: Job, rate: LearningRateSetter
    ) -> tuple[Any, int]:
        split, size, mean = images
        draws = Draws.of(job.recipe, split.examples, model.output_shape[-1], job.seed)
        draws.check(split)
        if not isinstance(split, ArraySplit):
            from training.data.batches import decoded_batches

            model.source = PhotographSource(draws, rate, most=1, at_once=1)
            first = rate.counter.step
            batches = decoded_batches(split, draws, mean=mean, first_step=first, image_size=size)
            return self.input_wait.timed(batches), 1
        # One by one while any step's error may end the warm-up.
        at_once = 1 if rate.controller.warming_up else self.steps_per_call
        pixels, labels = _on_device(split)
        model.source = ArraySource(
            draws, rate, self.steps_per_call, at_once, images=pixels, labels=labels, mean=mean
        )
        return _calls(split), at_once

    def evaluation_input(self, images: Images, batch_size: int) -> Any:
        split, size, mean = images
        if isinstance(split, ArraySplit):
            return EvaluationBatches(split, batch_size, mean)
        from training.data.batches import eval_batches

        return eval_batches(split, batch_size=batch_size, mean=mean, image_size=size)

    def validation_input(self, images: Images, at_most: int) -> Any:
        split = images.split
        if self.devices:
            at_most = data_parallel.evaluation_batch_size(split.examples, at_most, self.replicas)
        elif isinstance(split, ArraySplit):
            batches = -(-split.examples // EVALUATION_BATCH)
            at_most = -(-split.examples // batches)  # equal if possible: one program fits them all
        return self.evaluation_input(images, at_most)

    def accuracy(self, model: keras.Model, images: Images, batch_size: int) -> float:
        # `validation_input` divides its batches among the devices; a finished model is on one.
        batches_of = self.evaluation_input if self.devices else self.validation_input
        batches = batches_of(images, batch_size)
        return float(model.evaluate(batches, return_dict=True, verbose=0)["accuracy"])


class PlannedRate(LearningRateSetter):
    """The learning rate, read by the plan of each call, which may make several steps."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Does nothing: to set the optimizer's would fetch the whole state from the device."""


class EvaluationBatches(keras.utils.PyDataset):
    """Every image once, in the split's order, on the device; the last batch may be smaller."""

    def __init__(self, split: ArraySplit, batch_size: int, mean: np.ndarray) -> None:
        super().__init__()
        self.images, self.labels = _on_device(split)
        self.batch_size = batch_size
        self.mean = mean

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        if number >= len(self):
            raise IndexError(number)  # which ends a `for` over the batches
        chosen = slice(number * self.batch_size, (number + 1) * self.batch_size)
        return ops.cast(self.images[chosen], "float32") - self.mean, self.labels[chosen]


def _calls(split: ArraySplit) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields one image for each call of the step, whose images lie on the device already."""
    while True:
        yield split.images[:1], split.labels[:1]


def _on_device(split: ArraySplit) -> tuple[Any, Any]:
    return ops.convert_to_tensor(split.images), ops.convert_to_tensor(split.labels)


def _prepare_reader(dataset: str, backend: str) -> None:
    """Keeps TensorFlow, which reads photographs, away from the accelerators.

    Raises:
        ValueError: If TensorFlow is not installed.
    """
    for package in ("tensorflow", "tensorflow_datasets"):
        if importlib.util.find_spec(package) is None:
            raise ValueError(
                f"The photographs of {dataset} are read by TensorFlow on {backend} too, and "
                f"{package} is not installed: install it, the build for CPUs is enough."
            )
    import_tensorflow()
