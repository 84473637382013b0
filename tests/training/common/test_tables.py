"""Tables in terminals of any width and in pipes: every cell is printed whole."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from training.common import tables

HEADINGS = (
    "network",
    "depth",
    "shortcut",
    "parameters",
    "paper M",
    "mult-adds G",
    "paper G",
    "why",
)
ROWS = [
    ("resnet152", "152", "B", "60,192,808", "60.2", "11.514", "11.3", "the deepest of Table 1"),
    ("vgg16", "16", "–", "138,357,544", "138.4", "15.347", "15.3", "a peer"),
]


def printed(width: int | None) -> str:
    """The table in a terminal of that width; None: in a pipe."""
    file = io.StringIO()
    console = Console(
        file=file, width=width or 80, force_terminal=width is not None, color_system=None
    )
    tables.show(HEADINGS, ROWS, title="Costs", words=("why",), console=console)
    return file.getvalue()


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200, None])
def test_no_cell_is_ever_cut(width):
    text = printed(width)
    words = text.split()
    for row in ROWS:
        for cell in row[:-1]:
            assert cell in words
        assert set(row[-1].split()) <= set(words)
    assert "…" not in text


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_no_line_is_longer_than_the_terminal(width):
    assert max(map(len, printed(width).splitlines())) <= width


def test_a_pipe_gets_one_line_for_each_row():
    lines = [line for line in printed(None).splitlines() if line.strip()]
    assert sum("138,357,544" in line and "a peer" in line for line in lines) == 1
    assert len(lines) == 3 + len(ROWS)  # the title, the headings, a rule


def test_each_block_of_a_narrow_table_names_its_rows():
    assert printed(40).count("resnet152") > 1
