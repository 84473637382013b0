"""The input of several processes, each on its own processor core: a stand-in for machines."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError

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
    processes = [
        context.Process(
            target=_read_share,
            args=(folder, batch, batches, Share(worker, 1, workers), barrier),
            daemon=True,
        )
        for worker in range(workers)
    ]
    for process in processes:
        process.start()

    def meet() -> None:
        try:
            barrier.wait()
        except BrokenBarrierError:
            for process in processes:
                process.join()
            raise SystemExit(1) from None  # the failed process has said why

    def repeat() -> float:
        meet()  # their turn begins
        meet()  # what they had prefetched is gone
        began = time.perf_counter()
        meet()  # all have ended
        return batch * batches / (time.perf_counter() - began)

    meet()

    return repeat


def _read_share(folder: str, batch: int, batches: int, share: Share, barrier: Barrier) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[share.first % len(cores)]})
    from training.benchmarks.data import training_stream  # TensorFlow counts the cores it sees

    try:
        stream = iter(training_stream(folder, batch, share))
        next(stream)
        barrier.wait()
        while True:
            for _ in range(2):  # the first time untimed
                barrier.wait()
                for _ in range(batches):
                    next(stream)
            barrier.wait()
    finally:
        barrier.abort()  # nobody waits for a process that failed
