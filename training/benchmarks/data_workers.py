"""The input of several processes, each on its own processor core: a stand-in for machines."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier

from training.data.shares import Share


def photographs(folder: str, batch: int, batches: int, workers: int) -> Callable[[], float]:
    """Returns a repeat that measures the photographs per second of all processes together.

    Args:
        folder: Of JPEG photographs.
        batch: Images in a global batch, of which each process decodes its share.
        batches: Global batches in a repeat.
        workers: Processes.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers + 1)
    for worker in range(workers):
        arguments = (folder, batch, batches, Share(worker, 1, workers), barrier)
        context.Process(target=_read_share, args=arguments, daemon=True).start()
    barrier.wait()

    def repeat() -> float:
        began = time.perf_counter()
        barrier.wait()  # all begin
        barrier.wait()  # all have ended
        return batch * batches / (time.perf_counter() - began)

    return repeat


def _read_share(folder: str, batch: int, batches: int, share: Share, barrier: Barrier) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[share.first % len(cores)]})
    from training.benchmarks.data import training_stream  # TensorFlow counts the cores it sees

    stream = iter(training_stream(folder, batch, share))
    for _ in range(batches):
        next(stream)
    barrier.wait()
    while True:
        barrier.wait()
        for _ in range(batches):
            next(stream)
        barrier.wait()
