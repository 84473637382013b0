"""A table or figure as data: its cells, a program's records, and where each number is from."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras_resnet import architectures
from training.common import machine
from training.paper import runs
from training.paper.experiments import Experiment
from training.paper.measurements import Measured
from training.paper.recipe_descriptions import describe
from training.paper.runs import Run

MISSING, UNASKED = "missing", "–"
EVIDENCE = ("numbers of", "runs", "recipe", "data", "hardware", "finished", "command")

Cells = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Result:
    """The result of one experiment, as `reproduce` writes it."""

    name: str
    title: str
    selection: Mapping[str, Any]  # data set, recipe, budget: files of another are kept
    headings: tuple[str, ...]
    cells: Cells  # as people read them
    records: tuple[Mapping[str, Any], ...]  # the rows of the CSV
    notes: tuple[str, ...]
    evidence: Cells  # a row in the order of `EVIDENCE` for everything that was measured
    made: str = field(default_factory=machine.now)  # when


def caption(result: Result) -> str:
    """Returns the title and, in a second line, the data set and the recipes with their budgets."""
    recipes = list(dict.fromkeys(row[2] for row in result.evidence if row[2] != UNASKED))
    described = " / ".join(recipes) if len(recipes) <= 2 else f"{recipes[0]}, and others"
    data = result.selection.get("dataset")
    return f"{result.title}\n{data}; {described}" if data and described else result.title


def evidence(label: str, found: Sequence[Run], protocol: str | None, examples: int) -> Cells:
    """Returns the row of `EVIDENCE` for these runs, whose command is the first one's.

    Args:
        label: What the runs' numbers are called.
        found: Runs of one network.
        protocol: How they were tested; `None` if not by error.
        examples: Number of test images.
    """
    if not found:
        return ()
    first = found[0]
    train_examples = first.result["train_examples"]
    trained_on = "?" if train_examples is None else f"{train_examples:,}"
    tested_on = f"{examples:,} test images{f', {protocol}' if protocol else ''}"
    seeds = ", ".join(str(run.job.seed) for run in found)
    row = (
        label,
        f"n = {len(found)} (seed{'s' if len(found) > 1 else ''} {seeds})",
        join_distinct(str(describe(run.job.recipe)) for run in found),
        f"{first.job.dataset}: {trained_on} training images, {tested_on}",
        join_distinct(run.machine for run in found),
        join_distinct(run.result["finished"][:10] for run in found),
        runs.command(first.job),
    )
    return (row,)


def provenance(measured: Measured | None) -> dict[str, Any]:
    """Returns the same facts as columns of a CSV."""
    if measured is None or not measured.runs:
        return {}
    first = measured.runs[0]
    job = first.job
    return {
        "network": job.network,
        "shortcut": job.shortcut or architectures.get(job.network).shortcut or "",
        "dataset": job.dataset,
        "recipe": str(describe(job.recipe)),
        "seeds": " ".join(str(run.job.seed) for run in measured.runs),
        "train_examples": first.result["train_examples"],
        "test_examples": measured.scores[0].examples,
        "hardware": join_distinct(run.machine for run in measured.runs),
        "finished": join_distinct(run.result["finished"] for run in measured.runs),
        "command": runs.command(job),
    }


def missing_notes(measured: Sequence[Measured]) -> tuple[str, ...]:
    """Returns a note for every run that has no number."""
    return tuple(f"Missing: {reason}" for one in measured for reason in one.missing)


def all_evidence(experiment: Experiment, measured: Iterable[Measured | None]) -> Cells:
    """Returns the rows of `EVIDENCE` for all networks that have a number."""
    rows: Cells = ()
    for one in measured:
        if one is not None and one.scores:
            rows += evidence(one.net.label, one.runs, experiment.protocol, one.scores[0].examples)
    return rows


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Returns `8.91`, or mean ± sample standard deviation of several: `6.61 ± 0.16`."""
    if not values:
        return MISSING
    numbers = [statistics.mean(values), *([statistics.stdev(values)] if len(values) > 1 else [])]
    return " ± ".join(f"{number:.{digits}f}" for number in numbers)


def join_distinct(texts: Iterable[str]) -> str:
    """Joins the texts with slashes, each once, in the order of the first."""
    return " / ".join(dict.fromkeys(texts))
