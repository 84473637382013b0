"""Benchmarks the import of the library, and the building of a network."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import time
from collections.abc import Callable

from training.benchmarks.report import Comparison, Goal
from training.benchmarks.timing import Contender
from training.common.child_processes import CHECKOUT

LIMIT = 0.2  # seconds

# Runs in a new interpreter that has imported Keras: measures what the import adds.
IMPORT = """
import time, keras
began = time.perf_counter()
import keras_resnet
print(time.perf_counter() - began)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds no arguments."""


def comparisons(options: argparse.Namespace) -> list[Comparison]:
    here = __name__
    ours = Contender("keras_resnet", f"{here}:importing")
    built = Contender("keras_resnet.ResNet50", f"{here}:building", {"module": "keras_resnet"})
    peer = Contender(
        "keras.applications.ResNet50", f"{here}:building", {"module": "keras.applications"}
    )
    return [
        Comparison(
            "Import after Keras",
            "s",
            (ours,),
            (Goal("import", (ours.name,), 1.0, limit=LIMIT),),
            higher_is_better=False,
        ),
        Comparison(
            "Building ResNet-50",
            "s",
            (built, peer),
            (Goal("build-resnet50", (built.name,), 1.0, (peer.name,)),),
            higher_is_better=False,
        ),
    ]


def importing() -> Callable[[], float]:
    """Seconds, each time in a new process."""

    def repeat() -> float:
        finished = subprocess.run(
            [sys.executable, "-c", IMPORT], cwd=CHECKOUT, capture_output=True, text=True, check=True
        )
        return float(finished.stdout.split()[-1])

    return repeat


def building(module: str) -> Callable[[], float]:
    """Seconds that `module.ResNet50` takes with random weights, after a first one."""
    import keras

    constructor = importlib.import_module(module).ResNet50

    def repeat() -> float:
        keras.backend.clear_session(free_memory=True)
        began = time.perf_counter()
        constructor(weights=None)
        return time.perf_counter() - began

    repeat()
    return repeat
