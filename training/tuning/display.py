"""How a search goes, on a terminal or in a log: a bar over the trials, two lines for each."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from training.tuning.records import Record


class SearchProgress:
    """Implements `training.tuning.tuner.Watcher`; a context manager.

    Args:
        title: In front of the bar.
        trials: How many there will be at most, if that is known.
        ended: Those that have ended before.
    """

    def __init__(self, title: str, trials: int | None, ended: list[Record]) -> None:
        self.console = Console(file=sys.stderr)
        self.bar = Progress(
            TextColumn(title),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[now]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.errors = [record.validation_error for record in ended if record.completed]
        self.task = self.bar.add_task(title, total=trials, completed=len(ended), now=self._best())

    def __enter__(self) -> SearchProgress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def begin(self, trial: str, values: dict[str, Any]) -> None:
        told = ", ".join(f"{name} {value}" for name, value in values.items())
        self.note(f"trial {trial}: {told}")
        self.bar.update(self.task, now=f"trial {trial}, {self._best()}")

    def end(self, record: Record) -> None:
        if record.completed:
            self.errors.append(record.validation_error)
            came_to = f"validation error {record.validation_error:.2f} %, {self._best()}"
        else:
            came_to = f"failed: {record.ended}"
        self.note(f"trial {record.trial}: {came_to} ({record.seconds:.0f} s)")
        self.bar.update(self.task, advance=1, now=self._best())

    def _best(self) -> str:
        return f"best {min(self.errors):.2f} %" if self.errors else "none completed yet"

    def note(self, line: str) -> None:
        """Prints a line above the bar."""
        self.console.print(line, highlight=False, soft_wrap=True)
