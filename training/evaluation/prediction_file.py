"""A CSV file of predictions that grows batch by batch, so that a killed job can be run again."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.common.files import read_json, write_json
from training.evaluation.prediction import Prediction


class PredictionFile:
    """Rows of `file, error, class_1, probability_1, class_2, ...`, each written whole.

    Beside it `<name>.json` says which model the rows are of. Rows that are there stay.

    Attributes:
        done: The files that have rows.
        failed: How many of them have no classes.

    Args:
        path: The CSV file, new or of an earlier job.
        top: Classes in a row.
        model: What says which model it is, as JSON values.

    Raises:
        ValueError: If the file is of another model or has other columns.
        OSError: If the file exists and no job wrote it, or it cannot be written.
    """

    def __init__(self, path: Path, top: int, model: Mapping[str, Any]) -> None:
        self.path = path
        self._top = top
        self._facts = path.with_name(f"{path.name}.json")
        asked = {"top": top, **model}
        if path.exists():
            self._check(asked)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._facts, asked)
            path.touch()
        rows = self._whole_rows()
        if path.stat().st_size == 0:
            columns = [f"{what}_{i + 1}" for i in range(top) for what in ("class", "probability")]
            self._append([["file", "error", *columns]])
        self.done = {row["file"] for row in rows}
        self.failed = sum(bool(row["error"]) for row in rows)

    def append(self, predictions: Iterable[Prediction]) -> None:
        """Writes the rows of a batch, all at once."""
        rows: list[Sequence[Any]] = []
        for one in predictions:
            cells = [cell for name, p in one.classes for cell in (name, f"{p:.6g}")]
            rows.append([one.file, one.error, *cells, *[""] * (2 * self._top - len(cells))])
            self.done.add(one.file)
            self.failed += bool(one.error)
        self._append(rows)

    def _append(self, rows: Iterable[Sequence[Any]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        with self.path.open("ab") as file:
            file.write(text.getvalue().encode(errors="surrogateescape"))
            file.flush()
            os.fsync(file.fileno())

    def _check(self, asked: Mapping[str, Any]) -> None:
        if not self._facts.is_file():
            raise FileExistsError(f"{self.path} exists, and `predict` did not write it.")
        there = read_json(self._facts)
        changed = [name for name in {**there, **asked} if there.get(name) != asked.get(name)]
        if changed:
            said = (
                "a model of another SHA-256"
                if name == "sha256"
                else f"{name} {there.get(name)}, given {name} {asked.get(name)}"
                for name in changed
            )
            raise ValueError(
                f"{self.path} holds other predictions: {'; '.join(said)}. Give --csv another name."
            )

    def _whole_rows(self) -> list[dict[str, str]]:
        """The rows that are there; what a killed process began to write is cut off."""
        content = self.path.read_bytes()
        # A row ends with a line break outside quotation marks.
        whole = content
        while whole and (not whole.endswith(b"\n") or whole.count(b'"') % 2):
            whole = whole[: whole.rfind(b"\n", 0, -1) + 1]
        if whole != content:
            os.truncate(self.path, len(whole))
        return list(csv.DictReader(io.StringIO(whole.decode(errors="surrogateescape"), newline="")))
