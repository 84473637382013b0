"""Figures 1, 4, 6 and 7 as data: their lines, and the source of each line."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from training.paper.experiments import Experiment, Net
from training.paper.measurements import Measured
from training.paper.results import (
    UNASKED,
    Result,
    all_evidence,
    evidence,
    join_distinct,
    missing_notes,
    spread,
)
from training.paper.runs import Run


def learning_curves(
    experiment: Experiment, measured: Sequence[Measured], selection: Mapping[str, Any]
) -> Result:
    """Returns Figure 1, 4 or 6: every epoch's errors, and a table of the last one's."""
    records, cells = [], []
    for one in measured:
        for run in one.runs:
            source = {"label": one.net.label, "seed": run.job.seed}
            val = f"{run.held_out}_"
            records += [
                source | {name.replace("val_", val): value for name, value in row.items()}
                for row in run.history
            ]
        last = [run.history[-1] for run in one.runs]
        cells.append(
            (
                one.net.label,
                spread([row["error"] for row in last]),
                spread([row["val_error"] for row in last]),
                join_distinct(f"{row['step']:,.0f}" for row in last) or UNASKED,
                str(len(last) or UNASKED),
            )
        )
    held_out = join_distinct(run.held_out for one in measured for run in one.runs)
    notes = [*missing_notes(measured), "Training error: of the last epoch, under the augmentation."]
    if experiment.protocol == "center":
        notes.append(f"The {held_out} error is of the central crops.")
    if any(len(one.runs) > 1 for one in measured):
        notes.append("The figure draws each network's first seed.")
    return Result(
        name=experiment.name,
        title=experiment.title,
        selection=selection,
        headings=("network", "training error %", f"{held_out} error %", "iterations", "runs"),
        cells=tuple(cells),
        records=tuple(records),
        notes=tuple(notes),
        evidence=all_evidence(experiment, measured),
    )


def responses(
    experiment: Experiment,
    found: Sequence[tuple[Net, Run, Mapping[str, Any]]],
    missing: Sequence[str],
    selection: Mapping[str, Any],
) -> Result:
    """Returns Figure 7: every layer's standard deviation with its rank by size.

    Args:
        experiment: The figure.
        found: Networks with the run and what `measurements.responses` returned of it.
        missing: Notes on networks without a run.
        selection: Of the result.
    """
    records, cells = [], []
    for net, run, values in found:
        stds = values["stds"]
        largest_first = sorted(range(len(stds)), key=lambda layer: -stds[layer])
        rank = {layer: place for place, layer in enumerate(largest_first, start=1)}
        records += [
            {"label": net.label, "seed": run.job.seed, "layer": layer + 1, "name": name}
            | {"std": std, "rank": rank[layer]}
            for layer, (name, std) in enumerate(zip(values["layers"], stds, strict=True))
        ]
        numbers = (statistics.mean(stds), min(stds), max(stds))
        cells.append((net.label, str(len(stds)), *(f"{number:.3f}" for number in numbers)))
    note = "After batch norm, before the non-linearity or the addition, over all test images."
    rows = [evidence(net.label, (run,), None, values["examples"]) for net, run, values in found]
    return Result(
        name=experiment.name,
        title=experiment.title,
        selection=selection,
        headings=("network", "3x3 layers", "mean deviation", "smallest", "largest"),
        cells=tuple(cells),
        records=tuple(records),
        notes=(*missing, note),
        evidence=tuple(row for (row,) in rows),
    )
