"""A search for people to read: tables, their CSV files, and the best trial's job."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from training.common import tables
from training.common.files import write_csv, write_json
from training.tuning import records
from training.tuning.comparison import Group
from training.tuning.records import Record, best_first

TRIALS = "trials.csv"
COMPARISON = "comparison.csv"
BEST = "best.json"


def in_order(ended: Sequence[Record]) -> list[Record]:
    """Returns the trials with the best first and the failed ones last."""
    return [*best_first(ended), *(record for record in ended if not record.completed)]


def _fields(ended: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(name for record in ended for name in record.values))


def write_trials(ended: Sequence[Record], directory: Path) -> None:
    """Writes `trials.csv`, a row for each trial, the best first."""
    fields = _fields(ended)
    rest = ("parameters", "epochs", "steps", "ended", "seconds", "finished", "tuner", "run")
    rows: list[Sequence[object]] = [("trial", "status", "validation_error", *fields, *rest)]
    for record in in_order(ended):
        error = "" if math.isnan(record.validation_error) else round(record.validation_error, 4)
        values = [record.values.get(field, "") for field in fields]
        rows.append(
            (record.trial, record.status, error, *values, *(getattr(record, n) for n in rest))
        )
    write_csv(directory / TRIALS, rows)


def show_trials(ended: Sequence[Record]) -> None:
    """Prints the trials, without fields that all of them share, and without reasons."""
    values = {name: {record.values.get(name) for record in ended} for name in _fields(ended)}
    fields = [name for name, found in values.items() if len(found - {None}) > 1]
    headings = ("trial", "error, %", *fields, "parameters", "steps", "ended")
    rows = [
        (
            record.trial,
            f"{record.validation_error:.2f}" if record.completed else "–",
            *(str(record.values.get(field, "–")) for field in fields),
            f"{record.parameters:,}" if record.completed else "–",
            str(record.steps or "–"),
            record.ended if record.completed else "failed",
        )
        for record in in_order(ended)
    ]
    tables.show(
        [heading.replace("_", " ") for heading in headings],
        rows,
        title="Trials, by validation error",
        words=("ended",),
    )


def write_comparison(groups: Sequence[Group], directory: Path) -> None:
    """Writes `comparison.csv`, a row for each shortcut."""
    headings = ("shortcut", "trials", "failed", "mean", "std", "best", "best_trial")
    rows: list[Sequence[object]] = [(*headings, "extra_parameters")]
    for group in groups:
        numbers = (group.mean, group.spread, min(group.errors, default=None))
        rows.append(
            (
                group.shortcut,
                group.trials,
                group.failed,
                *("" if number is None else round(number, 4) for number in numbers),
                group.best.trial if group.best else "",
                " ".join(map(str, group.extra)),
            )
        )
    write_csv(directory / COMPARISON, rows)


def show_comparison(groups: Sequence[Group]) -> None:
    """Prints the validation error of each shortcut's trials."""
    rows = []
    for group in groups:
        spread = "" if group.spread is None else f" ± {group.spread:.2f}"
        ends = dict.fromkeys((group.extra[0], group.extra[-1])) if group.extra else ()
        rows.append(
            (
                group.shortcut,
                str(group.trials),
                str(group.failed),
                "–" if group.mean is None else f"{group.mean:.2f}{spread}",
                f"{min(group.errors):.2f}" if group.errors else "–",
                " to ".join(f"{number:,}" for number in ends) or "–",
            )
        )
    headings = ("shortcut", "trials", "failed", "mean ± std", "best", "parameters beyond A")
    tables.show(headings, rows, title="Validation error by shortcut, %")


def write_best(ended: Sequence[Record], directory: Path, data_dir: str | None) -> Path | None:
    """`best.json`: the best trial's job, which `train --recipe` runs again; `None` without any.

    Args:
        ended: The trials.
        directory: The search's.
        data_dir: Where its data lay, so that the file alone is enough.
    """
    if not best_first(ended):
        return None
    run = records.run_of(directory, best_first(ended)[0].run)
    found = json.loads((run / "job.json").read_text())
    if data_dir is not None:
        found["job"]["data_dir"] = str(Path(data_dir).expanduser().absolute())
    write_json(directory / BEST, found)
    return directory / BEST
