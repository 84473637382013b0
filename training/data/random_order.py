"""The order in which a training run sees its images: a function of the seed and the place.

NumPy draws it, so that the order is the same on TensorFlow, JAX and PyTorch.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

# What a generator's numbers are for: seeds of different purposes are never equal.
EPOCH, BLOCK, CROP, PHOTOGRAPH, MIX, MIRROR = range(6)


def generator(seed: int, purpose: int, *numbers: int) -> np.random.Generator:
    """Returns the generator of what happens at a place in the run.

    Args:
        seed: The run's seed.
        purpose: One of this module's constants.
        numbers: The place, such as the step or the epoch.
    """
    return np.random.default_rng((seed, purpose, *numbers))


@lru_cache(maxsize=4)  # steps follow each other: they need this epoch's order and the next one's
def permutation(examples: int, seed: int, *numbers: int, purpose: int = EPOCH) -> np.ndarray:
    """Returns the numbers 0..examples-1 in random order, (examples,) int32; do not write into it.

    Args:
        examples: How many there are.
        seed: The run's seed.
        numbers: What is put in order: an epoch, or an epoch and a block of records.
        purpose: `EPOCH` or `BLOCK`.
    """
    order = np.arange(examples, dtype=np.int32)
    generator(seed, purpose, *numbers).shuffle(order)
    order.setflags(write=False)
    return order


@lru_cache(maxsize=1)
def first_mirrored(examples: int, seed: int) -> np.ndarray:
    """Returns which images the first epoch mirrors, (examples,) bool; do not write into it.

    Args:
        examples: How many there are.
        seed: The run's seed.
    """
    mirrored = generator(seed, MIRROR).integers(2, size=examples) == 1
    mirrored.setflags(write=False)
    return mirrored


def places(examples: int, seed: int, first: int, count: int) -> np.ndarray:
    """Returns which image comes at each of `count` places of the endless stream, (count,) int32.

    Places 0..examples-1 are the first epoch, in a random order; the second epoch follows in
    another order. Every image comes exactly once in each.

    Args:
        examples: Number of images.
        seed: The run's seed.
        first: The first place.
        count: Number of places.
    """
    epochs, within = np.divmod(np.arange(first, first + count), examples)
    found = np.empty(count, np.int32)
    for epoch in range(epochs[0], epochs[-1] + 1):
        chosen = epochs == epoch
        found[chosen] = permutation(examples, seed, epoch)[within[chosen]]
    return found
