"""Computes requests of several callers together."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from grpc import StatusCode

from training.data.decoding.reading_errors import one_line
from training.serving.server.configuration import Batching
from training.serving.server.errors import ServingError
from training.serving.server.metrics import Metrics
from training.serving.server.models import Version

Arrays = dict[str, np.ndarray]


@dataclass(eq=False)
class _Task:
    version: Version
    signature: str
    inputs: Arrays
    deadline: float  # time.monotonic()
    arrived: float = field(default_factory=time.monotonic)
    future: Future[Arrays] = field(default_factory=Future)

    @property
    def images(self) -> int:
        return len(next(iter(self.inputs.values())))

    @property
    def key(self) -> Any:
        """Tasks of equal keys can be computed together: one function, images of one shape."""
        shapes = tuple((name, x.dtype.str, x.shape[1:]) for name, x in sorted(self.inputs.items()))
        return self.version, self.signature, shapes


class Batcher:
    """A queue for each kind of task, and threads that empty the queues, oldest task first."""

    def __init__(self, batching: Batching, metrics: Metrics) -> None:
        self._batching = batching
        self._metrics = metrics
        self._queues: dict[Any, deque[_Task]] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, daemon=True)
            for _ in range(batching.num_batch_threads)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, version: Version, signature: str, inputs: Arrays, deadline: float) -> Arrays:
        """Computes a signature, perhaps together with other requests; blocks until it is done.

        Raises:
            ServingError: UNAVAILABLE if too much is queued; DEADLINE_EXCEEDED if it takes too long.
            tf.errors.OpError: If the computation fails.
        """
        task = _Task(version, signature, inputs, deadline)
        most = self._batching.max_enqueued_batches * self._batching.max_batch_size
        with self._changed:
            if self._stopping or self._images() + task.images > max(most, task.images):
                raise ServingError(StatusCode.UNAVAILABLE, "The batching queue is full; try again.")
            self._queues.setdefault(task.key, deque()).append(task)
            self._metrics.queued.set(self._images())
            self._changed.notify()
        try:
            return task.future.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            task.future.cancel()
            raise ServingError(
                StatusCode.DEADLINE_EXCEEDED, "No answer within the deadline."
            ) from None

    def _images(self) -> int:
        """The number of queued images."""
        return sum(task.images for queue in self._queues.values() for task in queue)

    def stop(self) -> None:
        """Computes the queued tasks, then ends the threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while tasks := self._next():
            tasks = [task for task in tasks if task.deadline > time.monotonic()]
            if tasks:
                self._compute(tasks)

    def _next(self) -> list[_Task]:
        """Waits until a batch is full or has waited long enough; an empty one ends the thread."""
        patience = self._batching.batch_timeout_micros / 1e6
        with self._changed:
            while True:
                if not self._queues:
                    if self._stopping:
                        return []
                    self._changed.wait()
                    continue
                key = min(self._queues, key=lambda k: self._queues[k][0].arrived)
                queue = self._queues[key]
                images = sum(task.images for task in queue)
                left = queue[0].arrived + patience - time.monotonic()
                if images >= self._batching.max_batch_size or left <= 0 or self._stopping:
                    return self._take(key)
                self._changed.wait(left)

    def _take(self, key: Any) -> list[_Task]:
        queue, images = self._queues[key], 0
        taken: list[_Task] = []
        # A request larger than a batch is a batch by itself.
        while queue and (not taken or images + queue[0].images <= self._batching.max_batch_size):
            taken.append(queue.popleft())
            images += taken[-1].images
        if not queue:
            del self._queues[key]
        self._metrics.queued.set(self._images())
        return taken

    def _compute(self, tasks: list[_Task]) -> None:
        first = tasks[0]
        self._metrics.batch_size.labels(first.version.name).observe(sum(t.images for t in tasks))
        try:
            merged = {
                name: np.concatenate([task.inputs[name] for task in tasks]) for name in first.inputs
            }
            outputs = first.version.run(first.signature, merged)
        except Exception as error:
            if len(tasks) == 1:
                _finish(first.future, error=error)
                return
            for task in tasks:  # a broken image must fail its own request only
                self._compute([task])
            return
        start = 0
        for task in tasks:
            stop = start + task.images
            _finish(task.future, {name: value[start:stop] for name, value in outputs.items()})
            start = stop


class Direct:
    """Computes every request by itself, in its caller's thread."""

    def run(self, version: Version, signature: str, inputs: Arrays, deadline: float) -> Arrays:
        return version.run(signature, inputs)

    def stop(self) -> None:
        pass


def _finish(future: Future[Arrays], result: Any = None, error: Exception | None = None) -> None:
    try:
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
    except InvalidStateError:
        pass  # its caller has gone


def as_serving_error(error: Exception) -> ServingError:
    """Returns an error of computing as one with a code and words for the caller."""
    if isinstance(error, ServingError):
        return error
    if isinstance(error, tf.errors.InvalidArgumentError):
        return ServingError(StatusCode.INVALID_ARGUMENT, one_line(error))
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return ServingError(StatusCode.RESOURCE_EXHAUSTED, one_line(error))
    return ServingError(StatusCode.INTERNAL, f"{type(error).__name__} while computing")
