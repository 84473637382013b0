"""Several training steps in one call, on JAX and PyTorch.

A step of a small net takes a GPU about a millisecond. Python needs as long to start one and to read
its loss, and must not come in between: one call makes many steps, each with its own batch and
learning rate, and the host reads the loss at the end of each call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from training.data.augmentation.batch_augmentation import augmented
from training.data.draws import BatchDraw, Draws
from training.trainer.backends import data_parallel
from training.trainer.callbacks.learning_rate_setter import LearningRateSetter


class Plan(NamedTuple):
    """The plan of one call. Arrays are as long as the longest call, so that one program fits."""

    steps: np.int32  # how many
    rates: np.ndarray  # (most,) float32
    draw: BatchDraw  # of (most, batch_size)


@dataclass(frozen=True, eq=False)
class Source(ABC):
    """The source of the steps' rates and batches."""

    draws: Draws
    rate: LearningRateSetter
    most: int  # steps in a call, as the program is made for
    at_once: int  # steps in each call of this `fit`: `most`, or 1

    def plan(self) -> Plan:
        """Returns the next call's steps, to the epoch's end at most."""
        counter = self.rate.counter
        epoch_end = (counter.step // counter.epoch_steps + 1) * counter.epoch_steps
        steps = min(self.at_once, min(epoch_end, counter.total_steps) - counter.step)
        counter.taken = steps
        rates = np.zeros(self.most, np.float32)
        rates[:steps] = self.rate.upcoming(steps)
        drawn = [self.draws.batch(counter.step + i) for i in range(steps)]
        drawn += [drawn[-1]] * (self.most - steps)
        return Plan(np.int32(steps), rates, BatchDraw(*map(np.stack, zip(*drawn, strict=True))))

    @abstractmethod
    def call_data(self, data: tuple[Any, Any]) -> tuple[Any, Any]:
        """Returns the (images, labels) of a call, given what `fit` iterates over."""

    @abstractmethod
    def batch(self, images: Any, labels: Any, draw: BatchDraw) -> tuple[Any, Any]:
        """Returns one step's (images float32 (batch_size, H, W, C), labels (batch_size,)).

        Args:
            images: The call's images.
            labels: The call's labels.
            draw: The step's random numbers.
        """


@dataclass(frozen=True, eq=False)
class PhotographSource(Source):
    """A stream of photographs: a call makes one step, with the batch that `fit` iterates over.

    The photographs are decoded and cropped, and their mean is subtracted.
    """

    def call_data(self, data: tuple[Any, Any]) -> tuple[Any, Any]:
        return data

    def batch(self, images: Any, labels: Any, draw: BatchDraw) -> tuple[Any, Any]:
        return augmented(images, labels, draw, self.draws)


@dataclass(frozen=True, eq=False)
class ArraySource(Source):
    """A whole split, which lies on the device; each step gathers its batch there."""

    images: Any  # uint8 (N, H, W, C), on the device
    labels: Any  # int32 (N,)
    mean: np.ndarray  # float32 (H, W, C)

    def call_data(self, data: tuple[Any, Any]) -> tuple[Any, Any]:
        return self.images, self.labels

    def batch(self, images: Any, labels: Any, draw: BatchDraw) -> tuple[Any, Any]:
        chosen = ops.cast(ops.take(images, draw.places, axis=0), "float32") - self.mean
        chosen = data_parallel.divided(chosen)
        return augmented(chosen, ops.take(labels, draw.places, axis=0), draw, self.draws)


class JaxSteps(keras.Model):
    """A functional model whose training call makes as many steps as the source's plan says.

    `source` must be set before `fit`; `devices` is `None` for one device.
    """

    source: Source
    train_function: Any
    devices: data_parallel.DataParallel | None = None

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        with self.devices.scope() if self.devices else nullcontext():
            return super().fit(*args, **kwargs)

    def make_train_function(self, force: bool = False) -> None:
        """Makes Keras's train function, and hands it the plan when a call begins.

        The plan cannot come with the data: on a GPU Keras draws those one batch ahead, when the
        rates that depend on the batch before are not yet known.
        """
        if self.train_function is not None and not force:
            return
        super().make_train_function(force)
        compiled = self.train_function
        self.train_function = lambda state, data: compiled(
            state, iter([(*self.source.call_data(next(data)), self.source.plan())])
        )

    def train_step(self, state: Any, data: Any) -> tuple[Any, Any]:
        images, labels, plan = data
        rate = [variable.name for variable in self.optimizer.variables].index("learning_rate")

        def step(i: Any, state: Any) -> Any:
            trainable, others, optimizer, metrics = state
            optimizer = [*optimizer[:rate], plan.rates[i], *optimizer[rate + 1 :]]
            draw = BatchDraw(*(numbers[i] for numbers in plan.draw))
            batch = self.source.batch(images, labels, draw)
            _, state = super(JaxSteps, self).train_step(
                (trainable, others, optimizer, metrics), batch
            )
            return state

        # XLA's convolutions in a loop are slow on CPUs.
        one = self.source.most == 1
        state = step(0, state) if one else self.loop(plan.steps, step, state)
        with keras.StatelessScope(zip(self.metrics_variables, state[3], strict=True)):
            logs = self.get_metrics_result()
        return logs, state

    def loop(self, steps: Any, step: Callable[[Any, Any], Any], state: Any) -> Any:
        """Makes the steps; their number is an argument of the compiled program."""
        return ops.fori_loop(0, steps, step, state)


class TorchSteps(keras.Model):
    """Does what `JaxSteps` does, one step after the other, without waiting for their losses."""

    source: Source

    def train_step(self, data: Any) -> Any:
        images, labels = self.source.call_data(data)
        plan = self.source.plan()
        draws = BatchDraw(*map(ops.convert_to_tensor, plan.draw))
        for i in range(int(plan.steps)):
            self.optimizer.learning_rate = float(plan.rates[i])
            draw = BatchDraw(*(numbers[i] for numbers in draws))
            logs = super().train_step(self.source.batch(images, labels, draw))
        return logs


STEPPING: dict[str, Any] = {"jax": JaxSteps, "torch": TorchSteps}
