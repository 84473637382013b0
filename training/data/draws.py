"""Which images a step sees, and how they are cropped: a function of seed and step. NumPy only.

The numbers are drawn on the host and are few; the pixels stay on the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

# augmentation: (zeros padded on each side, whether every other image or so is mirrored)
AUGMENTATIONS = {"none": (0, False), "crop": (2, False), "cifar": (4, True)}
_ORDER, _CROP = 0, 1  # what a generator's numbers are for


class Draw(NamedTuple):
    """One step's random numbers, for each of its images."""

    places: np.ndarray  # (batch_size,) int32: its number in the split
    top: np.ndarray  # (batch_size,) int32: where the crop begins in the padded image
    left: np.ndarray
    mirrored: np.ndarray  # (batch_size,) bool


@dataclass(frozen=True)
class Draws:
    """The draws of every step. Batches cross the borders of epochs; every image comes exactly once
    in each."""

    examples: int
    batch_size: int
    augmentation: str  # one of AUGMENTATIONS
    seed: int

    def __post_init__(self) -> None:
        if self.augmentation not in AUGMENTATIONS:
            raise ValueError(
                f"Images in memory are augmented by one of {', '.join(AUGMENTATIONS)}; given "
                f"{self.augmentation!r}."
            )

    def __call__(self, step: int) -> Draw:
        padding, mirror = AUGMENTATIONS[self.augmentation]
        random = np.random.default_rng((self.seed, _CROP, step))
        top, left = random.integers(2 * padding + 1, size=(2, self.batch_size), dtype=np.int32)
        mirrored = random.integers(1 + mirror, size=self.batch_size, dtype=np.int32) == 1
        return Draw(self._places(step), top, left, mirrored)

    def _places(self, step: int) -> np.ndarray:
        numbers = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, within = np.divmod(numbers, self.examples)
        places = np.empty(self.batch_size, np.int32)
        for epoch in range(epochs[0], epochs[-1] + 1):
            mine = epochs == epoch
            places[mine] = permutation(self.examples, self.seed, epoch)[within[mine]]
        return places


@lru_cache(maxsize=2)  # steps come one after another: of this epoch, and of the next
def permutation(examples: int, seed: int, epoch: int) -> np.ndarray:
    """(examples,) int32: the order of an epoch."""
    order = np.arange(examples, dtype=np.int32)
    np.random.default_rng((seed, _ORDER, epoch)).shuffle(order)
    order.setflags(write=False)
    return order
