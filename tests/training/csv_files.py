"""Reading of the CSV files that commands write."""

from __future__ import annotations

import csv
from pathlib import Path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def numbers(path: Path) -> list[dict[str, float]]:
    """Returns the rows of a file that holds nothing but numbers."""
    return [{name: float(value) for name, value in row.items()} for row in rows(path)]
