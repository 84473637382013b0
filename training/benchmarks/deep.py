"""Very deep nets: a stage's blocks in a loop (`scan=True`) against the same blocks written out."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from training.benchmarks.report import Comparison, Goal
from training.benchmarks.timing import Contender
from training.common.child_processes import CHECKOUT
from training.common.errors import UsageError
from training.common.numeric import positive

FIRST_STEP = 10.0  # seconds from an empty process to the end of the first step
FLAT = 0.5  # its time beyond that of an ordinary step: at most twice that of a shallow net
SHALLOW = 20  # layers
PEAK = 8.0  # GB, rematerialized
PEAK_BATCH = 128  # images, the paper's batch
LINEAR = 0.8  # building: at least this share of the layers per second of a net ...
LINEAR_FROM = 56  # ... of so many layers

# Runs in a new interpreter, which imports everything before the clock starts.
FRESH = """
import json, sys
import tensorflow, keras_resnet
from training.benchmarks import deep
print(getattr(deep, sys.argv[1])(**json.loads(sys.argv[2])))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("deep nets")
    group.add_argument(
        "--depth",
        type=positive,
        default=110,
        help="the number of layers, 6n+2; the paper's deepest has 1202",
    )
    group.add_argument(
        "--batch-size", type=positive, default=2, help="the number of images in a step"
    )
    group.add_argument(
        "--steps", type=positive, default=3, help="the number of steps in a measurement"
    )


def comparisons(options: argparse.Namespace) -> list[Comparison]:
    depth, batch = options.depth, options.batch_size
    if depth <= LINEAR_FROM:
        raise UsageError(f"A deep net has more than {LINEAR_FROM} layers; given --depth {depth}.")
    net = {"depth": depth, "batch": batch}
    first = _pair("first_step", **net)
    steps = _pair(None, **net, steps=options.steps)
    shallow, deep = (
        _fresh(f"{layers} layers", "first_step_beyond_a_later", depth=layers, batch=batch)
        for layers in (SHALLOW, depth)
    )
    peak = _fresh("loop, rematerialized", "peak", depth=depth, batch=PEAK_BATCH)
    built = [
        _fresh(f"{layers} layers", "layers_built", depth=layers) for layers in (LINEAR_FROM, depth)
    ]
    return [
        Comparison(
            f"From nothing to the end of the first training step, {depth} layers, batch {batch}",
            "s",
            first,
            (Goal(f"deep-first-step-{depth}", ("loop",), 1.0, limit=FIRST_STEP),),
            higher_is_better=False,
        ),
        Comparison(
            f"A training step, {depth} layers, batch {batch}",
            "s",
            steps,
            (Goal(f"deep-step-{depth}", ("loop",), 1.0, ("written out",)),),
            higher_is_better=False,
        ),
        Comparison(
            f"What the first step takes beyond a later one, loop, batch {batch}",
            "s",
            (shallow, deep),
            (Goal(f"deep-flat-{depth}", (deep.name,), FLAT, (shallow.name,)),),
            higher_is_better=False,
        ),
        Comparison(
            f"Peak memory of training, {depth} layers, batch {PEAK_BATCH}",
            "GB",
            (peak,),
            (Goal(f"deep-peak-{depth}", (peak.name,), 1.0, limit=PEAK),),
            higher_is_better=False,
        ),
        Comparison(
            "Building nets with their blocks written out",
            "layers/s",
            tuple(built),
            (Goal(f"deep-build-{depth}", (built[1].name,), LINEAR, (built[0].name,)),),
        ),
    ]


def _pair(function: str | None, **arguments: Any) -> tuple[Contender, Contender]:
    """Returns the contenders loop and written out.

    Args:
        function: A function of this module, called in a new process each time; `None` measures
            steps, all in one process.
        arguments: Of the function.
    """
    loop, written_out = (
        Contender(name, f"{__name__}:stepping", {**arguments, "scan": scan})
        if function is None
        else _fresh(name, function, **arguments, scan=scan)
        for name, scan in (("loop", True), ("written out", False))
    )
    return loop, written_out


def _fresh(name: str, function: str, **arguments: Any) -> Contender:
    return Contender(name, f"{__name__}:fresh", {"function": function, "arguments": arguments})


def fresh(function: str, arguments: dict[str, Any]) -> Callable[[], float]:
    """Measures by a function of this module, called in a new process each time."""

    def repeat() -> float:
        command = [sys.executable, "-c", FRESH, function, json.dumps(arguments)]
        finished = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
        if finished.returncode:
            raise RuntimeError(finished.stderr.strip().splitlines()[-1])
        return float(finished.stdout.split()[-1])

    return repeat


def stepping(depth: int, batch: int, steps: int, scan: bool) -> Callable[[], float]:
    """Measures the seconds of a step of `model.fit` after the first."""
    fit = _fitting(depth, batch, scan)
    fit(1)

    def repeat() -> float:
        began = time.perf_counter()
        fit(steps)
        return (time.perf_counter() - began) / steps

    return repeat


def first_step(depth: int, batch: int, scan: bool) -> float:
    """Returns the seconds to build a net, compile it and take one training step."""
    if sys.getrecursionlimit() != 1000:
        raise ValueError("Very deep nets must build under Python's own recursion limit of 1000.")
    began = time.perf_counter()
    _fitting(depth, batch, scan)(1)
    return time.perf_counter() - began


def first_step_beyond_a_later(depth: int, batch: int) -> float:
    """Returns the seconds of building and tracing: `first_step` less the median of three more."""
    began = time.perf_counter()
    fit = _fitting(depth, batch, scan=True)
    times = [began]
    for _ in range(4):
        fit(1)
        times.append(time.perf_counter())
    first, *later = (after - before for before, after in pairwise(times))
    return first - sorted(later)[1]


def peak(depth: int, batch: int) -> float:
    """Returns the largest memory of the process during two steps, in GB (10^9 bytes)."""
    _fitting(depth, batch, scan=True, rematerialize=True)(2)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * 1024 / 1e9


def layers_built(depth: int) -> float:
    """Returns the layers with weights that are built per second."""
    import keras_resnet

    keras_resnet.CifarResNet(8)  # the first net of a process takes longer
    began = time.perf_counter()
    keras_resnet.CifarResNet(depth)
    return depth / (time.perf_counter() - began)


def _fitting(
    depth: int, batch: int, scan: bool, rematerialize: bool = False
) -> Callable[[int], None]:
    """Builds a net and returns the function that fits it for a number of steps."""
    import keras
    import numpy as np

    import keras_resnet
    from training.benchmarks.fitting import repeated
    from training.models.gradient_checkpointing import rematerialized

    keras.utils.set_random_seed(0)
    model = keras_resnet.CifarResNet(depth, scan=scan)
    if rematerialize:
        model = rematerialized(model)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    random = np.random.default_rng(0)
    batches = repeated(random.normal(size=(batch, 32, 32, 3)), random.integers(10, size=batch))

    def fit(steps: int) -> None:
        model.fit(batches, steps_per_epoch=1, epochs=steps, verbose=0)

    return fit
