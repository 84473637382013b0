"""Work directories: which there are, what state they are in, which job goes where."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.config.catalogue import DATASETS
from training.paper import jobs
from training.trainer.callbacks import history
from training.trainer.train import Job

FAILURE = "failure.json"  # beside a run that must not be tried again as it is
STATES = ("finished", "begun", "missing", "failed")


@dataclass(frozen=True)
class Run:
    """One job and its work directory, which may not exist yet."""

    job: Job
    directory: Path
    failure: str = ""  # why it has no result, once that is known

    @property
    def state(self) -> str:
        """One of `STATES`."""
        if (self.directory / "result.json").is_file():
            return "finished"
        if self.failure or self.recorded_failure:
            return "failed"
        return "begun" if (self.directory / "job.json").is_file() else "missing"

    @property
    def recorded_failure(self) -> str:
        """Of an earlier attempt that would fail again, such as a loss that became NaN."""
        file = self.directory / FAILURE
        if not file.is_file():
            return ""
        return f"{json.loads(file.read_text())['reason']} (remove {file} to try again)"

    @property
    def step(self) -> int:
        """Of its newest checkpoint."""
        names = [path.stem for path in (self.directory / "checkpoints").glob("step-*.npz")]
        return max((int(name.removeprefix("step-")) for name in names), default=0)

    @property
    def result(self) -> Mapping[str, Any]:
        """`result.json`, with what older runs have not recorded filled in.

        Raises:
            ValueError: If it is damaged.
        """
        file = self.directory / "result.json"
        result = json.loads(file.read_text())
        when = datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="seconds")
        unrecorded = {
            "finished": when,
            "hardware": "hardware not recorded",
            "train_examples": DATASETS[self.job.dataset].train_images,
        }
        return {**unrecorded, **result}

    @property
    def history(self) -> list[dict[str, float]]:
        """A row per epoch, as `training.trainer.callbacks.history.read` returns them."""
        return history.read(self.directory / history.EPOCHS_FILE)[0]


def found(directories: Iterable[Path]) -> list[Run]:
    """The runs in these directories: each is a work directory itself, or holds some."""
    runs = []
    for directory in directories:
        for candidate in (directory, *sorted(directory.glob("*/"))):
            job = jobs.read(candidate)
            if job is not None:
                runs.append(Run(job, candidate))
    return runs


def planned(wanted: Sequence[Job], workdir: Path, adopted: Sequence[Path] = ()) -> list[Run]:
    """A run for every job: the one that got furthest of those found, else a new directory.

    Args:
        wanted: Jobs, which may repeat: tables and figures share runs.
        workdir: Where runs are looked for, and where new ones go.
        adopted: Further directories to look in; their runs stay where they are.

    Raises:
        FileNotFoundError: If a directory to look in is not there.
    """
    for directory in adopted:
        if not directory.is_dir():
            raise FileNotFoundError(f"There is no directory {directory} whose runs to adopt.")
    present = found([workdir, *adopted])
    runs = []
    for job in dict.fromkeys(jobs.normal(job) for job in wanted):
        same = [run for run in present if run.job == job]
        same.sort(key=lambda run: (STATES.index(run.state), -run.step))
        runs.append(same[0] if same else Run(job, workdir / jobs.directory_name(job)))
    return runs
