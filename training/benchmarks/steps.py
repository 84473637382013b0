"""Benchmarks a training step of ResNet-20 alone, on JAX: how steps are looped, compiled, rounded.

The contenders start the many small kernels of such a step in different ways, hold feature maps in
another layout, or compute in bfloat16. On an H200 it makes no difference how a call starts its
kernels: a step takes 2.4 ms in float32, 1.8 ms in bfloat16 (docs/performance.md).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from training.benchmarks.report import Comparison, Goal
from training.benchmarks.timing import Contender
from training.common import nvidia

GOAL = 1.0  # ms a step
BATCH, STEPS = 128, 500  # images in a step; steps in a repeat
IMAGES = 50_000  # CIFAR-10's
UNROLLED = 5  # steps written out in the body of the loop

# XLA records the kernels of a loop once and starts them together.
COMMAND_BUFFERS = (
    "--xla_gpu_enable_command_buffer=FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,CONDITIONAL,WHILE "
    "--xla_gpu_graph_min_graph_size=1"
)
# XLA lays float32 out as NCHW on its own, and 16-bit types as NHWC, which tensor cores take.
CHANNELS_LAST = "--xla_gpu_force_conv_nhwc=true"

# contender: (arguments of `stepping`, flags of XLA)
Contenders = dict[str, tuple[dict[str, Any], tuple[str, ...]]]
EXACT: Contenders = {
    "one step a call": ({"at_once": 1}, ()),
    "several steps a call, as `train` makes them": ({}, ()),
    "their number a constant": ({"loop": "constant"}, ()),
    "five of them unrolled": ({"loop": "unrolled"}, ()),
    "command buffers": ({}, (COMMAND_BUFFERS,)),
    "constant, command buffers": ({"loop": "constant"}, (COMMAND_BUFFERS,)),
    "channels last": ({}, (CHANNELS_LAST,)),
    "channels last, constant, command buffers": (
        {"loop": "constant"},
        (CHANNELS_LAST, COMMAND_BUFFERS),
    ),
}
ROUNDED: Contenders = {
    "mixed_bfloat16": ({"policy": "mixed_bfloat16"}, ()),
    "mixed_bfloat16, constant, command buffers": (
        {"policy": "mixed_bfloat16", "loop": "constant"},
        (COMMAND_BUFFERS,),
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds no arguments."""


def comparisons(options: argparse.Namespace) -> list[Comparison]:
    if options.benchmark == "all" and not nvidia.devices():
        return []
    contenders = [
        Contender(
            name,
            f"{__name__}:stepping",
            arguments,
            ("jax",),
            {"KERAS_BACKEND": "jax", "XLA_FLAGS": " ".join(flags)},
        )
        for name, (arguments, flags) in {**EXACT, **ROUNDED}.items()
    ]
    return [
        Comparison(
            f"Training step of resnet20 on JAX, batch {BATCH}",
            "ms",
            tuple(contenders),
            (Goal("step-resnet20-jax", tuple(EXACT), 1.0, limit=GOAL),),
            higher_is_better=False,
        )
    ]


def stepping(
    at_once: int | None = None, loop: str | None = None, policy: str = "float32"
) -> Callable[[], float]:
    """Measures the milliseconds of a step of `fit`, batches gathered on the device included.

    Args:
        at_once: Steps in a call. Default: those that `train` makes on an accelerator.
        loop: A key of `loops`. Default: the loop that `train` makes.
        policy: Keras's dtype policy.
    """
    from training.trainer.backends.jax_torch_backend import STEPS_PER_CALL

    in_a_call = at_once or STEPS_PER_CALL
    fit = fitting("resnet20", BATCH, IMAGES, in_a_call, loop, policy)

    def repeat() -> float:
        began = time.perf_counter()
        fit(STEPS // in_a_call)
        return 1000 * (time.perf_counter() - began) / STEPS

    repeat()
    return repeat


def fitting(
    network: str, batch: int, images: int, at_once: int, loop: str | None, policy: str
) -> Callable[[int], Any]:
    """Returns a function that makes a number of calls, of `at_once` steps each, on noise.

    Each call of it continues where the last one ended, and returns the model.
    """
    import keras

    from training.config.jobs import Job
    from training.config.recipes import RECIPES
    from training.data.splits import ArraySplit, Dataset
    from training.trainer.backends.jax_torch_backend import JaxTorchBackend
    from training.trainer.callbacks.step_counter import StepCounter
    from training.trainer.learning_rate import Controller
    from training.trainer.run import Run
    from training.trainer.training_model import compiled

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (images, 32, 32, 3), np.uint8)
    split = ArraySplit(noise, random.integers(0, 10, images).astype(np.int32))
    recipe = replace(RECIPES["cifar10"], batch_size=batch, precision=policy)
    job = Job(network, "noise", recipe)
    backend = JaxTorchBackend(steps_per_call=at_once)
    dataset = Dataset("noise", tuple("0123456789"), (32, 32, 3), split, None, split)
    run = Run(job, job, dataset, backend)
    model = compiled(run)
    if loop is not None:
        model.loop = loops(at_once)[loop]
    counter = StepCounter(run.total_steps, epoch_steps=run.total_steps)
    rate = backend.rate(counter, Controller(recipe, run.total_steps))
    batches, _ = backend.training_input(model, run.images(split), job, rate)

    def fit(calls: int) -> Any:
        model.fit(batches, steps_per_epoch=calls, callbacks=[counter], shuffle=False, verbose=0)
        return model

    return fit


def loops(at_once: int) -> dict[str, Callable[[Any, Any, Any], Any]]:
    """Ways to make the steps of a call whose number is a part of the program, not its argument."""
    import jax
    from keras import ops

    return {
        "constant": lambda _, step, state: ops.fori_loop(0, at_once, step, state),
        "unrolled": lambda _, step, state: jax.lax.fori_loop(
            0, at_once, step, state, unroll=UNROLLED
        ),
    }
