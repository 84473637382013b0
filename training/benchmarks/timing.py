"""Measures contenders in turns, each in a process of its own.

Frameworks in one process would share threads, allocators and environment variables, and contenders
measured one after the other would meet different loads of the machine. So each contender waits in
its process until it is told to run one repeat, and every round gives each of them one turn. Out of
its turn, a contender and its children are stopped, so that they neither fill their buffers nor spin
their threads.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any

from training.common.child_processes import CHECKOUT


@dataclass(frozen=True)
class Contender:
    """One way to do what is measured."""

    name: str
    # "module:function". Called once, with `arguments`, it prepares everything and returns the
    # function without arguments that runs one repeat and returns its figure.
    make: str
    arguments: Mapping[str, Any] = field(default_factory=dict)  # JSON
    needs: tuple[str, ...] = ()  # packages of a peer, which is skipped where one is missing
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """The figures of every contender, one for each round, and why others have none."""

    values: Mapping[str, tuple[float, ...]]
    skipped: Mapping[str, str]


def interleaved(
    contenders: Sequence[Contender], repeats: int, step: Callable[[str], None] = lambda name: None
) -> Measured:
    """Runs `repeats` rounds, in each of which every contender has its turn.

    Args:
        contenders: What is compared; all of them are in memory together.
        repeats: Number of rounds.
        step: Called with the contender's name before its preparation and before each of its turns.

    Raises:
        OSError: If a contender fails that needs nothing beyond the project itself. A peer that
            fails is skipped, with the reason.
    """
    skipped: dict[str, str] = {}
    values: dict[str, list[float]] = {}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for contender in contenders:
            missing = _missing(contender)
            if missing:
                skipped[contender.name] = f"{', '.join(missing)} not installed"
                continue
            step(contender.name)
            worker = stack.enter_context(_started(contender))
            try:
                worker.answer()
            except WorkerFailedError as error:
                skipped[contender.name] = _reason(contender, error)
                continue
            workers[contender.name], values[contender.name] = worker, []
        for _ in range(repeats):
            for contender in contenders:
                if contender.name not in workers:
                    continue
                step(contender.name)
                try:
                    values[contender.name].append(workers[contender.name].run())
                except WorkerFailedError as error:
                    skipped[contender.name] = _reason(contender, error)
                    del workers[contender.name], values[contender.name]
    return Measured({name: tuple(found) for name, found in values.items()}, skipped)


def _missing(contender: Contender) -> list[str]:
    return [name for name in contender.needs if importlib.util.find_spec(name) is None]


class WorkerFailedError(Exception):
    """A contender's process ended, or its function raised."""


class Worker:
    """The process of a contender."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[str]) -> None:
        self._process = process
        self._errors = errors

    def run(self) -> float:
        """Runs one repeat and returns its figure."""
        os.killpg(self._process.pid, signal.SIGCONT)
        try:
            _pipe(self._process.stdin).write("run\n")
            _pipe(self._process.stdin).flush()
        except BrokenPipeError as error:
            raise WorkerFailedError(self._last_words()) from error
        return self.answer()["value"]

    def answer(self) -> dict[str, float]:
        """Returns the next answer of the process, and stops it."""
        line = _pipe(self._process.stdout).readline()
        if not line:
            self._process.wait()
            raise WorkerFailedError(self._last_words())
        os.killpg(self._process.pid, signal.SIGSTOP)
        answer: dict[str, float] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = [line for line in self._errors.read().splitlines() if line.strip()]
        return lines[-1] if lines else f"ended with exit code {self._process.returncode}"


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise TypeError("the process was started without this pipe")
    return pipe


@contextmanager
def _started(contender: Contender) -> Iterator[Worker]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **contender.environment}
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, contender.make, json.dumps(dict(contender.arguments))],
            cwd=CHECKOUT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            process_group=0,  # not a new session: if this process dies, stopped ones get SIGHUP
        )
        try:
            yield Worker(process, errors)
        finally:
            with suppress(ProcessLookupError):  # all have ended by themselves
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _reason(contender: Contender, error: WorkerFailedError) -> str:
    if not contender.needs:
        raise OSError(f"{contender.name} cannot be measured: {error}") from error
    return f"failed: {error}"


def _serve(make: str, arguments: str) -> None:
    """Is a contender's process: prepares, then runs one repeat for each line of its input."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # so that what a framework prints does not come between the answers
    module, function = make.split(":")
    try:
        repeat = getattr(importlib.import_module(module), function)(**json.loads(arguments))
        print("{}", file=answers, flush=True)
        for _ in sys.stdin:
            print(json.dumps({"value": float(repeat())}), file=answers, flush=True)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error  # the last line that the benchmark reads


if __name__ == "__main__":
    _serve(*sys.argv[1:])
