"""Tables for people: no terminal is so narrow that a number is cut."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

PADDING = 3  # the blanks around a cell, with the share of the table's edges
SHORTEST_LINE = 24  # characters of a column of words, which may take several lines


def show(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str | None = None,
    words: Collection[str] = (),
    console: Console | None = None,
) -> None:
    """Prints a table whose first column names its rows.

    Columns that are too many for a terminal follow below, each block beginning with the first
    column. A file or a pipe gets the full width.

    Args:
        headings: One for each column.
        rows: The cells as they are printed.
        title: A line above the table.
        words: Headings of the columns of words, which are set left and may take several lines.
            Other columns are set right, each cell on one line.
        console: Where the table is printed; default: the standard output.
    """
    console = console or Console()
    cells = [headings, *rows]
    whole = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    if not console.is_terminal:
        console = Console(file=console.file, width=sum(whole) + PADDING * len(whole) + PADDING)
    folded = [
        min(width, SHORTEST_LINE) if heading in words else width
        for heading, width in zip(headings, whole, strict=True)
    ]
    for block in _blocks(folded, console.width):
        table = Table(title=title, box=SIMPLE, title_justify="left")
        for i in block:
            wraps = headings[i] in words
            table.add_column(
                headings[i],
                justify="left" if wraps or i == 0 else "right",
                no_wrap=not wraps,
                overflow="fold",
            )
        for row in rows:
            table.add_row(*(row[i] for i in block))
        console.print(table, markup=False)
        title = None


def _blocks(widths: Sequence[int], line: int) -> Iterator[list[int]]:
    """The columns' numbers, in blocks that fit a line, each after the first column."""
    block = [0]
    for i in range(1, len(widths)):
        if len(block) > 1 and sum(widths[j] + PADDING for j in (*block, i)) > line:
            yield block
            block = [0]
        block.append(i)
    yield block
