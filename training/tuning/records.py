"""What each trial came to, a file per trial; and which of them keep their checkpoints."""

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
    run: str  # the trial in whose directory the run lies: its own, or the one it went on with
    status: str  # "completed" or "failed"
    ended: str  # "whole", "early" (nothing gained for long), "paused", or why it failed
    seconds: float  # of this trial's process
    finished: str  # when, UTC
    tuner: str  # which of the search's workers had it
    validation_error: float = math.nan  # of the weights that the run ended with
    epochs: int = 0  # of the whole run, begun ones too
    steps: int = 0
    parameters: int = 0  # trainable

    @property
    def completed(self) -> bool:
        return self.status == "completed"

    @property
    def rank(self) -> tuple[bool, float, str]:
        """Sorts the best first; a paused run, which a shorter schedule flatters, behind whole."""
        return self.ended == "paused", self.validation_error, self.trial


def directory_of(search: Path, trial: str) -> Path:
    """As keras-tuner calls it."""
    return search / f"trial_{trial}"


def run_of(search: Path, trial: str) -> Path:
    """The work directory of a run that began with this trial."""
    return directory_of(search, trial) / "run"


def write(record: Record, search: Path) -> None:
    values = {k: v for k, v in asdict(record).items() if v == v}  # JSON has no NaN
    write_json(directory_of(search, record.trial) / FILE_NAME, values)


def read(search: Path, trial: str) -> Record | None:
    """The trial's record, if it has ended."""
    path = directory_of(search, trial) / FILE_NAME
    return Record(**json.loads(path.read_text())) if path.is_file() else None


def read_all(search: Path) -> list[Record]:
    """Of all trials that have ended, in the order of their beginning."""
    paths = sorted(search.glob(f"trial_*/{FILE_NAME}"))
    return [Record(**json.loads(path.read_text())) for path in paths]


def best_first(records: Iterable[Record]) -> list[Record]:
    """Those that completed, the lowest validation error first."""
    return sorted((r for r in records if r.completed), key=lambda record: record.rank)


def best_runs(records: Iterable[Record], number: int) -> list[str]:
    """The runs of the best trials, the best first, each once."""
    return list(dict.fromkeys(record.run for record in best_first(records)))[:number]


def prune(search: Path, records: Sequence[Record], keep: int, needed: Collection[str]) -> None:
    """Removes checkpoints, models and events of runs that are not among the `keep` best.

    Args:
        search: The search's directory.
        records: All trials that have ended.
        keep: Number of best runs that stay whole.
        needed: Trials whose runs may go on.
    """
    run_by_trial = {record.trial: record.run for record in records}
    kept = {*best_runs(records, keep), *(run_by_trial.get(name, name) for name in needed)}
    for run in {*run_by_trial.values()} - kept:
        path = run_of(search, run)
        for part in ("checkpoints", "events"):
            shutil.rmtree(path / part, ignore_errors=True)
        (path / "model.keras").unlink(missing_ok=True)
