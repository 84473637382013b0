"""The outcome of every trial, a file for each; and which trials keep their checkpoints."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.common.files import write_json

FILE_NAME = "record.json"


@dataclass(frozen=True)
class Record:
    """One trial that has ended. The error is in per cent of the held-out images."""

    trial: str
    values: dict[str, Any]  # of the search space's fields
    run: str  # the trial in whose directory the run lies: this one, or the one it continued
    status: str  # "completed" or "failed"
    ended: str  # "whole", "early" (by early stopping), "paused" (by hyperband), or why it failed
    seconds: float  # that this trial's process ran
    finished: str  # when, UTC
    tuner: str  # the worker of the search that trained it
    validation_error: float = math.nan  # of the weights that the run ended with
    epochs: int = 0  # of the whole run, an unfinished one counted
    steps: int = 0
    parameters: int = 0  # trainable

    @property
    def completed(self) -> bool:
        return self.status == "completed"

    @property
    def rank(self) -> tuple[bool, float, str]:
        """Sorts the best first, and paused runs, whose rate was still high, after whole ones."""
        return self.ended == "paused", self.validation_error, self.trial


def directory_of(search: Path, trial: str) -> Path:
    """Returns keras-tuner's directory of a trial."""
    return search / f"trial_{trial}"


def run_of(search: Path, trial: str) -> Path:
    """Returns the work directory of a run that began with this trial."""
    return directory_of(search, trial) / "run"


def write(record: Record, search: Path) -> None:
    """Writes the record into the trial's directory."""
    values = {k: v for k, v in asdict(record).items() if v == v}  # JSON has no NaN
    write_json(directory_of(search, record.trial) / FILE_NAME, values)


def read(search: Path, trial: str) -> Record | None:
    """Returns the trial's record, or `None` if the trial has not ended."""
    path = directory_of(search, trial) / FILE_NAME
    return Record(**json.loads(path.read_text())) if path.is_file() else None


def read_all(search: Path) -> list[Record]:
    """Returns the records of all trials that have ended, in the order of their beginning."""
    paths = sorted(search.glob(f"trial_*/{FILE_NAME}"))
    return [Record(**json.loads(path.read_text())) for path in paths]


def best_first(records: Iterable[Record]) -> list[Record]:
    """Returns the records of completed trials, the lowest validation error first."""
    return sorted((r for r in records if r.completed), key=lambda record: record.rank)


def best_runs(records: Iterable[Record], number: int) -> list[str]:
    """Returns the runs of the best trials, the best first, each once."""
    return list(dict.fromkeys(record.run for record in best_first(records)))[:number]


def prune(search: Path, records: Sequence[Record], keep: int, needed: Collection[str]) -> None:
    """Removes checkpoints, models and events of runs that are not among the best.

    Args:
        search: The search's directory.
        records: All trials that have ended.
        keep: Number of best runs that keep all their files.
        needed: Trials whose runs may be continued.
    """
    run_by_trial = {record.trial: record.run for record in records}
    kept = {*best_runs(records, keep), *(run_by_trial.get(name, name) for name in needed)}
    for run in {*run_by_trial.values()} - kept:
        path = run_of(search, run)
        for part in ("checkpoints", "events"):
            shutil.rmtree(path / part, ignore_errors=True)
        (path / "model.keras").unlink(missing_ok=True)
