"""Benchmarks training steps: this project's, plain Keras's and PyTorch's."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable

import numpy as np

from training.benchmarks.report import Comparison, Goal
from training.benchmarks.timing import Contender
from training.common.environment import TRAINING

PEERS = "training.benchmarks.peers"
PYTORCH, KERAS = 1.0, 1.4  # at least so many times their speed

# network: (batch, steps in a repeat)
STEPS = {"resnet20": (128, 8), "resnet50": (16, 2)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds no arguments."""


def comparisons(options: argparse.Namespace) -> list[Comparison]:
    return [_comparison(network) for network in STEPS]


def _comparison(network: str) -> Comparison:
    batch, steps = STEPS[network]
    given = {"network": network, "batch": batch, "steps": steps}
    ours = Contender("training", f"{__name__}:stepping", given, environment=TRAINING)
    keras = Contender("plain Keras", f"{PEERS}.keras_training:stepping", given)
    torch = Contender(
        "PyTorch, channels-last",
        f"{PEERS}.torch_training:stepping",
        given,
        ("torch", "transformers") if network == "resnet50" else ("torch",),
    )
    return Comparison(
        f"Training step of {network}, batch {batch}",
        "images/s",
        (ours, keras, torch),
        (
            Goal(f"train-{network}-pytorch", (ours.name,), PYTORCH, (torch.name,)),
            Goal(f"train-{network}-keras", (ours.name,), KERAS, (keras.name,)),
        ),
    )


def stepping(network: str, batch: int, steps: int) -> Callable[[], float]:
    """Measures the images per second of the model that `python -m training train` trains."""
    from training.benchmarks.fitting import fitting
    from training.config.jobs import Job
    from training.config.recipes import RECIPES
    from training.data.splits import ArraySplit, Dataset
    from training.trainer import backends
    from training.trainer.run import Run
    from training.trainer.training_model import compiled

    cifar = network != "resnet50"
    classes = tuple(map(str, range(10 if cifar else 1000)))
    none = ArraySplit(np.zeros((0, 32, 32, 3), np.uint8), np.zeros(0, np.int32))
    nothing = Dataset("noise", classes, (32, 32, 3) if cifar else None, none, None, none)
    recipe = dataclasses.replace(RECIPES["cifar10" if cifar else "imagenet"], batch_size=batch)
    job = Job(network, "noise", recipe)
    return fitting(compiled(Run(job, job, nothing, backends.running())), batch, steps)
