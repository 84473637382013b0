"""The seam between a run and its backend: devices, input, and how a step is compiled.

TensorFlow brings its own input (tf.data) and distribution (tf.distribute); on JAX and PyTorch the
data set lies on the device and one device trains.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import keras
import numpy as np

from training.config.recipes import Recipe
from training.data.splits import Split
from training.trainer.callbacks.standard import Clock, History, Rate
from training.trainer.learning_rate import Controller

if TYPE_CHECKING:
    import tensorflow as tf

    from training.config.jobs import Job


class Engine(Protocol):
    """What a run leaves to its backend."""

    chief: bool  # this process writes the run's files
    workers: int  # processes that train together
    builds_metrics: bool  # Keras makes the metrics' variables ahead of the first step

    def check(self, job: Job) -> None:
        """Raises a ValueError if the job cannot run here."""

    def versions(self) -> dict[str, str]:
        """Of the backend's package."""

    def accelerators(self) -> list[str]:
        """The names of the GPUs and TPUs in use."""

    def scope(self) -> AbstractContextManager:
        """In which the model and its optimizer are made."""

    def readable_errors(self, job: Job) -> AbstractContextManager:
        """In which the backend's errors become an OSError or a RunError that says what to do."""

    def model(self, network: keras.Model, recipe: Recipe) -> keras.Model:
        """The same layers and weights, as `fit` takes them here."""

    def jit_compile(self, recipe: Recipe) -> bool | str:
        """As `compile` takes it."""

    def rate(self, clock: Clock, controller: Controller) -> Rate:
        """Sees to it that every step has its learning rate."""

    def callbacks(self, recipe: Recipe, history: History) -> list[keras.callbacks.Callback]:
        """What else goes with a run here."""

    def training_input(
        self, model: keras.Model, split: Split, job: Job, mean: np.ndarray, size: int, rate: Rate
    ) -> tuple[Any, int]:
        """What `fit` takes, from the clock's step on, and the steps that one call makes at most."""

    def evaluation_input(
        self, split: Split, batch_size: int, size: int, mean: np.ndarray | None = None
    ) -> Any:
        """What `evaluate` takes: every image once, in the split's order."""

    def validation_batch_size(self, examples: int, at_most: int) -> int:
        """For the model that trains."""


def running(strategy: tf.distribute.Strategy | None = None) -> Engine:
    """The engine of the backend that Keras runs on.

    Args:
        strategy: TensorFlow's; `None` is this machine's first device.
    """
    if keras.backend.backend() == "tensorflow":
        from training.trainer.backends.tensorflow_backend import TensorFlowEngine

        return TensorFlowEngine(strategy)
    from training.trainer.backends.arrays_backend import ArraysEngine

    return ArraysEngine()


def strategy(name: str) -> tf.distribute.Strategy | None:
    """What to train on, by the name that `--strategy` takes.

    Raises:
        ValueError: If the name is unknown, or the backend has only one device.
    """
    if keras.backend.backend() == "tensorflow":
        from training.trainer.backends import distribution

        return distribution.choose(name)
    if name not in ("auto", "one"):
        raise ValueError(
            f"strategy {name} is TensorFlow's; on {keras.backend.backend()} a run has one device. "
            "Start a process per GPU (CUDA_VISIBLE_DEVICES), or unset KERAS_BACKEND."
        )
    return None


def make_deterministic() -> None:
    """The same bits each time on the same machine. Before the backend has run anything."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif backend == "jax":
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    elif backend == "torch":
        import torch

        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
        torch.use_deterministic_algorithms(True)
