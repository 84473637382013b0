"""The progress of a search: a bar over its trials, and two lines for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.common.progress_bars import ProgressBar
from training.tuning.records import Record


class SearchProgress:
    """Implements `training.tuning.tuner.Watcher`; a context manager.

    Args:
        title: In front of the bar.
        trials: The largest number of trials, if it is known.
        ended: Trials that ended in an earlier process.
    """

    def __init__(self, title: str, trials: int | None, ended: Sequence[Record]) -> None:
        self.errors = [record.validation_error for record in ended if record.completed]
        self.bar = ProgressBar(title, trials, done=len(ended))

    def __enter__(self) -> SearchProgress:
        self.bar.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.__exit__(*error)

    def begin(self, trial: str, values: dict[str, Any]) -> None:
        assignments = ", ".join(f"{name} {value}" for name, value in values.items())
        self.note(f"trial {trial}: {assignments}")
        self.bar.advance(0, note=f"trial {trial}, {self._best()}")

    def end(self, record: Record) -> None:
        if record.completed:
            self.errors.append(record.validation_error)
            outcome = f"validation error {record.validation_error:.2f} %, {self._best()}"
        else:
            outcome = f"failed: {record.ended}"
        self.note(f"trial {record.trial}: {outcome} ({record.seconds:.0f} s)")
        self.bar.advance(note=self._best())

    def note(self, line: str) -> None:
        """Prints a line above the bar."""
        self.bar.print(line)

    def _best(self) -> str:
        return f"best {min(self.errors):.2f} %" if self.errors else "none completed yet"
