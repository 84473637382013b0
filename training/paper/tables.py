"""Tables 1 to 6 as data: the paper's numbers beside those measured here."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from training.common import machine
from training.paper import costs, published_numbers
from training.paper.experiments import Experiment, Net
from training.paper.measurements import Measured, Score
from training.paper.results import (
    MISSING,
    UNASKED,
    Result,
    all_evidence,
    evidence,
    missing_notes,
    provenance,
    spread,
)
from training.paper.runs import Run

METRICS = {"top1": "top-1 error %", "top5": "top-5 error %"}


class Row(NamedTuple):
    """One line of an error table."""

    published: published_numbers.Error
    measured: Measured | None  # None: nobody asked for it

    def values(self, metric: str) -> list[float]:
        """Returns the errors of all runs by a key of `METRICS`, in per cent."""
        scores = self.measured.scores if self.measured else ()
        return [value for score in scores if (value := getattr(score, metric)) is not None]

    @property
    def training_error(self) -> float | None:
        """The mean error of the last epoch, under the augmentation, while the weights moved."""
        runs = self.measured.runs if self.measured else ()
        return statistics.mean(run.history[-1]["error"] for run in runs) if runs else None


def error_rows(experiment: Experiment, measured: Sequence[Measured]) -> list[Row]:
    """Returns the paper's lines with what was measured, then measured nets it does not have."""
    left = {one.net: one for one in measured}
    rows = []
    for published in published_numbers.ERRORS[experiment.name]:
        net = Net(published.network, published.shortcut) if published.network else None
        rows.append(Row(published, left.pop(net, None) if net else None))
    rows += [Row(published_numbers.Error(one.net.label, ""), one) for one in left.values()]
    return rows


def errors(experiment: Experiment, rows: Sequence[Row], selection: Mapping[str, Any]) -> Result:
    """Returns Table 2, 3, 4 or 6."""
    measured = [row.measured for row in rows if row.measured]
    result = _error_table(experiment, rows, selection, missing_notes(measured))
    result = replace(
        result,
        headings=(*result.headings, "training error %", "runs"),
        cells=tuple(
            (*cells, _number(row.training_error), _runs(row))
            for cells, row in zip(result.cells, rows, strict=True)
        ),
    )
    if any(len(one.runs) > 1 for one in measured):
        note = "Of several runs: the best, then mean ± sample standard deviation."
        result = replace(result, notes=(*result.notes, note))
    return result


def ensemble(
    experiment: Experiment,
    members: Sequence[tuple[Net, Run]],
    score: Score,
    selection: Mapping[str, Any],
) -> Result:
    """Returns Table 5: the error of several networks' averaged probabilities."""
    (published,) = published_numbers.ERRORS[experiment.name]
    names = [f"{net.label} (seed {run.job.seed})" for net, run in members]
    notes = [
        f"The ensemble: {', '.join(names)}. The paper says that its six are of different depth, "
        "two of them of 152 layers; here they are the five of Table 4 and a second 152.",
        "The paper's 3.57 % is of the test images, whose labels are not public. The measured "
        "error is of ImageNet's validation images, or of the folder's test images.",
    ]
    if len(members) != 6:
        notes.insert(0, f"An ensemble of {len(members)}, not of six.")
    together = Measured(members[0][0], tuple(run for _, run in members), (score,))
    result = _error_table(experiment, [Row(published, together)], selection, notes)
    rows = [
        evidence(f"{net.label} of the ensemble", (run,), experiment.protocol, score.examples)
        for net, run in members
    ]
    return replace(result, evidence=tuple(row for (row,) in rows))


def _error_table(
    experiment: Experiment,
    rows: Sequence[Row],
    selection: Mapping[str, Any],
    notes: Sequence[str],
) -> Result:
    dataset, paper_dataset = selection["dataset"], experiment.datasets[0]
    source = "paper" if dataset == paper_dataset else f"paper ({paper_dataset})"
    metrics = {
        metric: "error %" if experiment.protocol == "single" else name
        for metric, name in METRICS.items()
        if any(getattr(row.published, metric) or row.values(metric) for row in rows)
    }
    headings = [f"{who}, {name}" for name in metrics.values() for who in (source, "measured")]
    notes = list(notes)
    if dataset != paper_dataset:
        notes.insert(
            0, f"The paper's numbers are of {paper_dataset}, the measured ones of {dataset}."
        )
    if experiment.name in published_numbers.CORRECTIONS:
        notes.append(published_numbers.CORRECTIONS[experiment.name])
    return Result(
        name=experiment.name,
        title=experiment.title,
        selection=selection,
        headings=("network", *headings),
        cells=tuple(_error_cells(row, list(metrics)) for row in rows),
        records=tuple(_record(experiment, row) for row in rows),
        notes=tuple(notes),
        evidence=all_evidence(experiment, (row.measured for row in rows)),
    )


def _error_cells(row: Row, metrics: Sequence[str]) -> tuple[str, ...]:
    cells = [row.published.method]
    for metric in metrics:
        values = row.values(metric)
        best = f"{min(values):.2f} ({spread(values)})" if len(values) > 1 else spread(values)
        failed = row.measured is not None and not row.measured.scores
        missing = MISSING if failed else UNASKED
        cells += [getattr(row.published, metric) or UNASKED, best if values else missing]
    return tuple(cells)


def _runs(row: Row) -> str:
    return str(len(row.measured.runs) or UNASKED) if row.measured else UNASKED


def _number(value: float | None) -> str:
    return UNASKED if value is None else f"{value:.2f}"


def _record(experiment: Experiment, row: Row) -> dict[str, Any]:
    published, measured = row
    record: dict[str, Any] = {
        "label": published.method,
        "paper_top1": published.top1,
        "paper_top5": published.top5,
        "runs": "" if measured is None else len(measured.runs),
    }
    for metric in METRICS:
        values = row.values(metric)
        record[f"{metric}_best"] = min(values) if values else ""
        record[f"{metric}_mean"] = statistics.mean(values) if values else ""
        record[f"{metric}_std"] = statistics.stdev(values) if len(values) > 1 else ""
    error = row.training_error
    return {
        **record,
        "training_error": "" if error is None else error,
        "protocol": experiment.protocol,
        **provenance(measured),
        "missing": "; ".join(measured.missing) if measured else "",
    }


def table_1(experiment: Experiment, rows: Sequence[costs.Row]) -> Result:
    """Returns Table 1, which is counted on the built networks and needs no run."""
    with_vgg = any(row.network.startswith("vgg") for row in rows)
    source = (
        "every row",
        "counted on the built net",
        UNASKED,
        "224x224 and 32x32 images; 1000 and 10 classes",
        UNASKED,
        machine.now()[:10],
        "python -m training networks",
    )
    headings = ("network", "layers", "shortcut", "parameters", "paper, M")
    return Result(
        name=experiment.name,
        title=experiment.title,
        selection={"dataset": None},
        headings=(*headings, "multiply-adds, G", "paper, G"),
        cells=tuple(costs.printed(row) for row in rows),
        records=tuple(dict(zip(costs.COLUMNS, row, strict=True)) for row in rows),
        notes=costs.NOTES if with_vgg else costs.NOTES[:1],
        evidence=(source,),
    )
