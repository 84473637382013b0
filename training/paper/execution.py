"""Trains the runs that are missing, each in a process of its own, so that one cannot end others."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from training.common.errors import DivergedError, PreemptedError
from training.common.files import write_json
from training.common.machine import now
from training.paper import jobs
from training.paper.runs import FAILURE, Run

logger = logging.getLogger(__name__)

CHECKOUT = Path(__file__).parents[2]
LOG = "train.log"  # what a run printed, in its directory
POLL_SECONDS = 1.0  # between two looks at a run's checkpoints


def train_missing(
    runs: Sequence[Run], data_dir: str | None, train_examples: int | None = None
) -> list[Run]:
    """Trains what is not finished, one after the other; what fails is recorded, the others go on.

    Args:
        runs: As planned.
        data_dir: Where the data lie, as `train` takes it.
        train_examples: Number of training images, for the progress bar.

    Returns:
        The runs, those that failed now with the reason.

    Raises:
        PreemptedError: If this process was asked to stop; the run under way has saved itself.
    """
    open_runs = [run for run in runs if run.state in ("begun", "missing")]
    if not open_runs:
        return list(runs)
    after = {}
    with _bar([jobs.steps(run.job, train_examples) or 0 for run in open_runs]) as show:
        for number, run in enumerate(open_runs):
            title = f"run {number + 1} of {len(open_runs)}: {run.directory.name}"
            after[run] = _trained(run, data_dir, lambda step, n=number, t=title: show(n, step, t))
            ended = after[run]
            if ended.state == "finished":
                logger.info("%s: test error %.2f %%", title, ended.result["test_error"])
            else:
                logger.warning("%s: %s", title, ended.failure)
    return [after.get(run, run) for run in runs]


def _trained(run: Run, data_dir: str | None, show: Callable[[int], None]) -> Run:
    run.directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "training", "train", *jobs.arguments(run.job)]
    command += ["--workdir", str(run.directory)]
    command += ["--data-dir", str(data_dir)] if data_dir is not None else []
    path = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    with (run.directory / LOG).open("a") as log:
        process = subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": path}, stdout=log, stderr=log
        )
        with _passing_on(process) as asked_to_stop:
            while True:
                show(run.step)
                try:
                    code = process.wait(POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    continue
    show(run.step)
    if asked_to_stop:
        raise PreemptedError(f"stopped by SIGTERM; {run.directory} goes on when run again.")
    if code == 0:
        return run
    said = (run.directory / LOG).read_text(errors="replace").strip().splitlines()
    reason = f"exit code {code}: {said[-1] if said else 'it said nothing'}"
    if code == DivergedError.exit_code:  # the same steps would end the same way
        write_json(run.directory / FAILURE, {"reason": reason, "when": now()})
    return replace(run, failure=reason)


@contextmanager
def _passing_on(process: subprocess.Popen) -> Iterator[list[int]]:
    """Hands SIGTERM on to a run, which then saves itself; the list has the signals that came."""
    came: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        came.append(number)
        process.terminate()

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)
        if process.poll() is None:  # an exception, such as Ctrl-C, which the run got too
            process.terminate()
            process.wait()


@contextmanager
def _bar(steps: Sequence[int]) -> Iterator[Callable[[int, int, str], None]]:
    """A bar over the steps of all runs, and which of how many is under way.

    Yields:
        `show(number, step, title)`: run `number` has come to `step`.
    """
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[at]}"))
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=sum(steps) or None, at="")
        shown = [-1]

        def show(number: int, step: int, title: str) -> None:
            at = f"step {step:,} of {steps[number]:,}"
            done = sum(steps[:number]) + step
            bar.update(task, completed=done, description=title, at=at)
            if shown[0] != number:
                shown[0] = number
                logger.info("%s: from step %s", title, f"{step:,}")

        yield show
