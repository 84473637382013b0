"""Benchmarks training steps: this project's, plain Keras's and PyTorch's."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from training.benchmarks.report import Comparison, Goal
from training.benchmarks.timing import Contender
from training.common.environment import TRAINING

PEERS = "training.benchmarks.peers"
PYTORCH, KERAS = 1.0, 1.4  # at least so many times their speed
PRECISIONS = ("float32", "bfloat16")
# Beside float32, where the processor multiplies in bfloat16.
BFLOAT16 = {"resnet20": 1.3, "resnet50": 2.0}

# network: (batch, steps in a repeat)
STEPS = {"resnet20": (128, 8), "resnet50": (16, 2)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds no arguments."""


def comparisons(options: argparse.Namespace) -> list[Comparison]:
    asked = [precision for precision in PRECISIONS if precision in options.precision]
    return [_comparison(network, precision) for precision in asked for network in STEPS]


def _comparison(network: str, precision: str) -> Comparison:
    batch, steps = STEPS[network]
    given = {"network": network, "batch": batch, "steps": steps, "precision": precision}
    ours = Contender("training", f"{__name__}:stepping", given, environment=TRAINING)
    exact = replace(ours, name="training, float32", arguments={**given, "precision": "float32"})
    keras = Contender("plain Keras", f"{PEERS}.keras_training:stepping", given)
    torch = Contender(
        "PyTorch, channels-last",
        f"{PEERS}.torch_training:stepping",
        given,
        ("torch", "transformers") if network == "resnet50" else ("torch",),
    )
    prefix = f"train-{network}-{precision}"
    goals = [
        Goal(f"{prefix}-pytorch", (ours.name,), PYTORCH, (torch.name,)),
        Goal(f"{prefix}-keras", (ours.name,), KERAS, (keras.name,)),
    ]
    contenders = [ours, keras, torch]
    if precision == "bfloat16":
        contenders.append(exact)
        goals.append(Goal(f"{prefix}-float32", (ours.name,), BFLOAT16[network], (exact.name,)))
    return Comparison(
        f"Training step of {network} in {precision}, batch {batch}",
        "images/s",
        tuple(contenders),
        tuple(goals),
    )


def stepping(network: str, batch: int, steps: int, precision: str) -> Callable[[], float]:
    """Measures the images per second of the model that `python -m training train` trains."""
    import keras

    from training.benchmarks.fitting import POLICIES, fitting
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
    policy = POLICIES[precision]
    keras.config.set_dtype_policy(policy)
    recipe = replace(
        RECIPES["cifar10" if cifar else "imagenet"], batch_size=batch, precision=policy
    )
    job = Job(network, "noise", recipe)
    return fitting(compiled(Run(job, job, nothing, backends.running())), batch, steps)
