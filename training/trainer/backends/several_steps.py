"""Several training steps in one call, over a data set that lies on the device. JAX and PyTorch.

A step of a small net takes a GPU about a millisecond. Python needs as long to start one and to look
at its loss, and must not come in between: one call makes many steps, each with its own batch and
rate, and the host looks at the end of each call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from training.data.draws import AUGMENTATIONS, Draw, Draws
from training.trainer.callbacks.learning_rate_setter import LearningRateSetter


class Plan(NamedTuple):
    """What one call is to do. Arrays are as long as the longest call, so that one program fits."""

    steps: np.ndarray  # () int32: how many
    rates: np.ndarray  # (most,) float32
    draw: Draw  # of (most, batch_size)


@dataclass(frozen=True, eq=False)
class Source:
    """Where the steps' batches and rates come from."""

    draws: Draws
    mean: np.ndarray  # (H, W, C)
    rate: LearningRateSetter
    most: int  # steps in a call, as the program is made for
    at_once: int  # steps in each call of this `fit`: `most`, or 1

    def plan(self) -> Plan:
        """The next call's steps, to the epoch's end at most."""
        counter = self.rate.counter
        epoch_end = (counter.step // counter.epoch_steps + 1) * counter.epoch_steps
        steps = min(self.at_once, min(epoch_end, counter.total_steps) - counter.step)
        counter.taken = steps
        rates = np.zeros(self.most, np.float32)
        rates[:steps] = self.rate.upcoming(steps)
        drawn = [self.draws(counter.step + i) for i in range(steps)]
        drawn += [drawn[-1]] * (self.most - steps)
        return Plan(np.int32(steps), rates, Draw(*map(np.stack, zip(*drawn, strict=True))))

    def batch(self, images: Any, labels: Any, draw: Draw) -> tuple[Any, Any]:
        """One step's (images float32 (batch_size, H, W, C), labels (batch_size,)).

        Args:
            images: The split's, uint8 (N, H, W, C), on the device.
            labels: (N,).
            draw: The step's.
        """
        padding, mirror = AUGMENTATIONS[self.draws.augmentation]
        chosen = ops.cast(ops.take(images, draw.places, axis=0), "float32") - self.mean
        if padding:
            chosen = crop(chosen, draw.top, draw.left, draw.mirrored if mirror else None, padding)
        return chosen, ops.take(labels, draw.places, axis=0)


def crop(images: Any, top: Any, left: Any, mirrored: Any | None, padding: int) -> Any:
    """Pads by zeros, crops to the old size and mirrors, in one gather; on any backend.

    Section 4.2 of the paper. Zero is the mean once that is subtracted.

    Args:
        images: (N, H, W, C).
        top: (N,) int32, 0..2 padding: the crop's first row in the padded image.
        left: (N,) int32: its first column.
        mirrored: (N,) bool, or `None`: none of them.
        padding: Pixels on each side.

    Returns:
        (N, H, W, C).
    """
    n, height, width, channels = images.shape
    wide = width + 2 * padding
    rows = ops.expand_dims(top, 1) + ops.arange(height, dtype="int32")  # (N, H)
    columns = ops.expand_dims(ops.arange(width, dtype="int32"), 0)  # (1, W)
    if mirrored is not None:
        columns = ops.where(ops.expand_dims(mirrored, 1), width - 1 - columns, columns)
    columns = ops.expand_dims(left, 1) + columns  # (N, W)
    first = ops.arange(n, dtype="int32") * (height + 2 * padding)  # row of each image in them all
    places = (ops.expand_dims(first, 1) + rows)[:, :, None] * wide + columns[:, None, :]
    padded = ops.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    return ops.take(ops.reshape(padded, (-1, channels)), places, axis=0)  # (N, H, W, C)


class JaxSteps(keras.Model):
    """A functional model whose batch is a whole split, (images, labels), and whose step is many.

    `source` must be set before `fit`.
    """

    source: Source | None = None

    def make_train_function(self, force: bool = False) -> None:
        """Keras's, with the plan added to its data when the call begins.

        It cannot come with the data: on a GPU Keras draws those one batch ahead, when the rates
        that depend on the batch before are not yet known.
        """
        if self.train_function is not None and not force:
            return
        super().make_train_function(force)
        compiled = self.train_function
        self.train_function = lambda state, data: compiled(
            state, iter([(*next(data), self.source.plan())])
        )

    def train_step(self, state: Any, data: Any) -> tuple[Any, Any]:
        images, labels, plan = data
        rate = [variable.name for variable in self.optimizer.variables].index("learning_rate")

        def step(i: Any, state: Any) -> Any:
            trainable, others, optimizer, metrics = state
            optimizer = [*optimizer[:rate], plan.rates[i], *optimizer[rate + 1 :]]
            draw = Draw(*(numbers[i] for numbers in plan.draw))
            batch = self.source.batch(images, labels, draw)
            _, state = super(JaxSteps, self).train_step(
                (trainable, others, optimizer, metrics), batch
            )
            return state

        if self.source.most == 1:  # XLA's convolutions in a loop are slow on CPUs
            state = step(0, state)
        else:  # the number of steps is an argument of the program, not a part of it
            state = ops.fori_loop(0, plan.steps, step, state)
        with keras.StatelessScope(zip(self.metrics_variables, state[3], strict=True)):
            logs = self.get_metrics_result()
        return logs, state


class TorchSteps(keras.Model):
    """As `JaxSteps`. PyTorch runs the steps one by one, but nobody waits for their losses."""

    source: Source | None = None

    def train_step(self, data: Any) -> Any:
        images, labels = data
        plan = self.source.plan()
        draws = Draw(*map(ops.convert_to_tensor, plan.draw))
        for i in range(int(plan.steps)):
            self.optimizer.learning_rate = float(plan.rates[i])
            draw = Draw(*(numbers[i] for numbers in draws))
            logs = super().train_step(self.source.batch(images, labels, draw))
        return logs


STEPPING = {"jax": JaxSteps, "torch": TorchSteps}
