"""One style of progress bar for everything that takes long."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class ProgressBar:
    """A bar on the standard error where that is a terminal, else nothing; a context manager.

    It shows the title, how much of how much is done, the time gone and the time left, and a note.

    Args:
        title: What is under way.
        total: How much there is to do; `None` if that is unknown.
        done: How much of it was done before.
        show: Whether to show the bar at all.
    """

    def __init__(
        self, title: str, total: int | None = None, *, done: int = 0, show: bool = True
    ) -> None:
        self.console = Console(file=sys.stderr)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self.console,
            disable=not (show and self.console.is_terminal),
        )
        self.task = self.progress.add_task(title, total=total, completed=done, note="")

    def __enter__(self) -> ProgressBar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def advance(
        self, amount: int = 1, *, title: str | None = None, note: str | None = None
    ) -> None:
        """Advances the bar; may change the title and the note."""
        self._change(title, note)
        self.progress.advance(self.task, amount)

    def set(self, done: int, *, title: str | None = None, note: str | None = None) -> None:
        """Says how much is done altogether; may change the title and the note."""
        self._change(title, note)
        self.progress.update(self.task, completed=done)

    def _change(self, title: str | None, note: str | None) -> None:
        if title is not None:
            self.progress.update(self.task, description=title)
        if note is not None:
            self.progress.update(self.task, note=note)

    def print(self, line: str) -> None:
        """Prints a line above the bar, and where there is no bar too."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)
