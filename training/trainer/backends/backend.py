"""The part of a training run that depends on the Keras backend: devices, input, compilation."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import keras
import numpy as np

from training.config.recipes import Recipe
from training.data.splits import Split
from training.data.streams.input_wait import InputWait
from training.trainer.callbacks.history import History
from training.trainer.callbacks.learning_rate_setter import LearningRateSetter
from training.trainer.callbacks.step_counter import StepCounter
from training.trainer.learning_rate import Controller

if TYPE_CHECKING:
    from training.config.jobs import Job


class Images(NamedTuple):
    """The images of a split, as a net takes them."""

    split: Split
    size: int  # side of the crops of photographs
    mean: np.ndarray = np.zeros((), np.float32)  # subtracted from the pixels


class Backend(Protocol):
    """The devices, the input and the compilation of a run; every backend derives from it."""

    chief: bool  # this process writes the run's files
    workers: int  # processes that train together
    worker: int  # this one's number among them, from 0
    replicas: int  # devices of all of them, among which every batch is divided
    input_wait: InputWait  # of the training steps so far
    builds_metrics: bool  # Keras makes the metrics' variables ahead of the first step

    def check(self, job: Job) -> None:
        """Raises a ValueError if the job cannot run here."""

    def versions(self) -> dict[str, str]:
        """Returns the version of the backend's package, by its name."""

    def accelerators(self) -> list[str]:
        """Returns the names of the GPUs and TPUs in use."""

    def scope(self) -> AbstractContextManager[Any]:
        """Returns the context in which the model and its optimizer are made."""

    def readable_errors(self, job: Job) -> AbstractContextManager[Any]:
        """Returns a context that turns errors into an OSError or RunError that says what to do."""

    def model(self, network: keras.Model, recipe: Recipe) -> keras.Model:
        """Returns a model of the same layers and weights, as `fit` takes it on this backend."""

    def jit_compile(self, recipe: Recipe) -> bool | str:
        """Returns what `compile` takes."""

    def rate(self, counter: StepCounter, controller: Controller) -> LearningRateSetter:
        """Returns the learning-rate callback."""
        return LearningRateSetter(counter, controller)

    def callbacks(self, recipe: Recipe, history: History) -> list[keras.callbacks.Callback]:
        """Returns the callbacks that only this backend needs."""
        return []

    def training_input(
        self, model: keras.Model, images: Images, job: Job, rate: LearningRateSetter
    ) -> tuple[Any, int]:
        """Returns what `fit` iterates over, from the counter's step on, and a call's steps."""

    def validation_input(self, images: Images, at_most: int) -> Any:
        """Returns what `fit` evaluates at every epoch's end: every image once.

        A batch has `at_most` images, or fewer where that suits the devices better.
        """

    def evaluation_input(self, images: Images, batch_size: int) -> Any:
        """Returns whole batches of the images, in order; several processes take turns."""

    def sum_over_workers(self, values: np.ndarray) -> np.ndarray:
        """Returns the sum of the float64 arrays that all processes of the run call it with."""
        return values

    def accuracy(self, model: keras.Model, images: Images, batch_size: int) -> float:
        """Returns the share of the images that a finished model answers right.

        Of several processes all must call it, and each evaluates a part of the images.
        """
