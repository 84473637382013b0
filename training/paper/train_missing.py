"""Trains missing runs, each in a process of its own, so that a crash ends one run only."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from training.common import child_processes
from training.common.errors import DivergedError, PreemptedError
from training.common.files import write_json
from training.common.machine import now
from training.common.progress_bars import ProgressBar
from training.paper import runs as run_files
from training.paper.runs import FAILURE, Run

logger = logging.getLogger(__name__)

LOG = "train.log"  # a run's output, in its directory
POLL_SECONDS = 1.0  # between two readings of a run's newest step


def train_missing(
    runs: Sequence[Run], data_dir: str | None, train_examples: int | None = None
) -> list[Run]:
    """Trains the runs that are not finished, one after the other; records those that fail.

    Args:
        runs: What `runs.plan` returned.
        data_dir: Where the data lie, as `train --data-dir` takes it.
        train_examples: Number of training images, for the progress bar.

    Returns:
        The runs, those that failed with the reason.

    Raises:
        PreemptedError: If this process was asked to stop; the current run has saved itself.
    """
    unfinished = [run for run in runs if run.state in ("begun", "missing")]
    if not unfinished:
        return list(runs)
    after = {}
    steps = [run_files.steps(run.job, train_examples) or 0 for run in unfinished]
    with ProgressBar("", sum(steps) or None) as bar:
        for number, run in enumerate(unfinished):
            title = f"run {number + 1} of {len(unfinished)}: {run.directory.name}"
            logger.info("%s: from step %s", title, f"{run.step:,}")

            def show(step: int, done: int = sum(steps[:number]), title: str = title) -> None:
                bar.set(done + step, title=title)

            after[run] = _train(run, data_dir, show)
            if after[run].state == "finished":
                logger.info("%s: test error %.2f %%", title, after[run].result["test_error"])
            else:
                logger.warning("%s: %s", title, after[run].failure)
    return [after.get(run, run) for run in runs]


def _train(run: Run, data_dir: str | None, show: Callable[[int], None]) -> Run:
    run.directory.mkdir(parents=True, exist_ok=True)
    command = ["training", "train", *run_files.arguments(run.job), "--workdir", str(run.directory)]
    command += ["--data-dir", str(data_dir)] if data_dir is not None else []
    process = child_processes.start(command, run.directory / LOG)
    with child_processes.forwarded_sigterm(process) as signals:
        code = None
        while code is None:
            show(run.step)
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(POLL_SECONDS)
    show(run.step)
    if signals:
        raise PreemptedError(
            f"stopped by SIGTERM; {run.directory} continues when the same command is run again."
        )
    if code == 0:
        return run
    printed = (run.directory / LOG).read_text(errors="replace").strip().splitlines()
    reason = f"exit code {code}: {printed[-1] if printed else 'it printed nothing'}"
    if code == DivergedError.exit_code:  # the same steps would end the same way
        write_json(run.directory / FAILURE, {"reason": reason, "when": now()})
    return replace(run, failure=reason)
