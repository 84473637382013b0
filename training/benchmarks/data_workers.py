"""The input of several processes, each on its own processor core: a stand-in for machines."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from training.data.shares import Share


def photographs(folder: str, batch: int, batches: int, workers: int) -> Callable[[], float]:
    """Returns a repeat that measures the photographs per second of all processes together.

    Args:
        folder: Of JPEG photographs.
        batch: Images in a global batch, of which each process decodes its share.
        batches: Global batches in a repeat.
        workers: Processes.

    Raises:
        OSError: If a photograph cannot be read, or a process ended; a repeat raises it too.
    """
    started = [
        _started(folder, batch, batches, Share(worker, 1, workers)) for worker in range(workers)
    ]

    def read_together() -> None:
        for _, connection in started:
            with suppress(ConnectionError):  # of a process that has ended: the next line says so
                connection.send(None)
        _wait_for_all(started)

    def repeat() -> float:
        read_together()  # untimed: what they had prefetched is gone
        began = time.perf_counter()
        read_together()
        return batch * batches / (time.perf_counter() - began)

    _wait_for_all(started)

    return repeat


def _started(
    folder: str, batch: int, batches: int, share: Share
) -> tuple[SpawnProcess, Connection]:
    """Starts a process, which reads `batches` each time that it is sent something."""
    context = multiprocessing.get_context("spawn")
    connection, its_end = context.Pipe()
    process = context.Process(
        target=_read_share, args=(folder, batch, batches, share, its_end), daemon=True
    )
    process.start()
    its_end.close()  # else `recv` would wait for ever for a process that was killed
    return process, connection


def _wait_for_all(started: list[tuple[SpawnProcess, Connection]]) -> None:
    """Waits until every process has read its batches; where one fails, ends all."""
    for process, connection in started:
        try:
            failure = connection.recv()
        except (EOFError, ConnectionError):
            process.join()
            failure = f"A process ended with exit code {process.exitcode}."
        if failure:
            for other, _ in started:
                other.kill()
                other.join()
            raise OSError(failure)


def _read_share(
    folder: str, batch: int, batches: int, share: Share, connection: Connection
) -> None:
    """Reads batches when asked, and sends `None` each time, or why it cannot go on."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[share.first % len(cores)]})
    from training.benchmarks.data import training_stream  # TensorFlow counts the cores it sees

    try:
        stream = training_stream(folder, batch, share)
        next(stream)
        while True:
            connection.send(None)
            connection.recv()
            for _ in range(batches):
                next(stream)
    except (ValueError, OSError) as error:
        connection.send(str(error))
