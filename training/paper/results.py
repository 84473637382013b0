"""A table or figure as data: what is shown, what a program reads, and where each number is from."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from training.common import machine
from training.paper import costs, published_numbers
from training.paper.experiments import Experiment, Net
from training.paper.measures import Measured, Score
from training.paper.provenance import evidence, facts, joined
from training.paper.runs import Run

MISSING, UNASKED = "missing", "–"


@dataclass(frozen=True)
class Result:
    """What `reproduce` writes of one experiment."""

    name: str
    title: str
    selection: Mapping[str, Any]  # data set, recipe, budget: what must agree to be written anew
    headings: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]  # as people read them
    records: tuple[Mapping[str, Any], ...]  # the CSV's rows
    notes: tuple[str, ...]
    evidence: tuple[tuple[str, ...], ...]  # `EVIDENCE` of every row that was measured
    made: str  # when


def errors(
    experiment: Experiment, measured: Sequence[Measured], selection: Mapping[str, Any]
) -> Result:
    """Tables 2, 3, 4 and 6: the paper's errors beside ours."""
    rows: list[tuple[published_numbers.Error, Measured | None]] = []
    left = {one.net: one for one in measured}
    for published in published_numbers.ERRORS[experiment.name]:
        net = Net(published.network, published.shortcut) if published.network else None
        rows.append((published, left.pop(net, None) if net else None))
    rows += [(published_numbers.Error(one.net.label, ""), one) for one in left.values()]
    return _error_table(experiment, rows, selection, _missing(measured))


def ensemble(
    experiment: Experiment,
    nets: Sequence[Net],
    runs: Sequence[Run],
    found: Score,
    selection: Mapping[str, Any],
) -> Result:
    """Table 5: several nets' probabilities averaged."""
    (published,) = published_numbers.ERRORS[experiment.name]
    names = [f"{net.label} (seed {run.job.seed})" for net, run in zip(nets, runs, strict=True)]
    notes = (
        f"The ensemble: {', '.join(names)}. The paper says that its six are of different depth, "
        "two of them of 152 layers; ours are the five of Table 4 and a second 152.",
        "The paper's 3.57 % is of the test images, whose labels are not public; ours is of "
        "ImageNet's validation images, or of the folder's test images.",
    )
    if len(runs) != 6:
        notes = (f"An ensemble of {len(runs)}, not of six.", *notes)
    one = Measured(nets[0], tuple(runs), (found,))
    result = _error_table(experiment, [(published, one)], selection, notes)
    members = tuple(
        evidence(f"{net.label} of the ensemble", (run,), experiment.protocol, found.examples)
        for net, run in zip(nets, runs, strict=True)
    )
    return replace(result, evidence=members)


def _error_table(
    experiment: Experiment,
    rows: Sequence[tuple[published_numbers.Error, Measured | None]],
    selection: Mapping[str, Any],
    notes: Sequence[str],
) -> Result:
    records = [_record(experiment, published, one) for published, one in rows]
    dataset = selection["dataset"]
    own = dataset == experiment.datasets[0]
    source = "paper" if own else f"paper ({experiment.datasets[0]})"
    columns = [("network", lambda at: records[at]["label"])]
    for which in ("top1", "top5"):
        if not any(record[f"paper_{which}"] or record[f"{which}_best"] != "" for record in records):
            continue
        said = "error" if experiment.protocol == "single" else which.replace("top", "top-")
        columns += [
            (f"{source}, {said} %", lambda at, w=which: records[at][f"paper_{w}"] or UNASKED),
            (f"ours, {said} %", lambda at, w=which: _ours(rows[at][1], w)),
        ]
    columns.append(("ours, training error %", lambda at: _number(records[at]["training_error"])))
    columns.append(("runs", lambda at: str(records[at]["runs"] or UNASKED)))
    if experiment.kind == "ensemble":  # runs of different nets: their number is in the notes
        columns = columns[:-2]
    said = [*notes]
    if not own:
        said.insert(0, f"The paper's numbers are of {experiment.datasets[0]}, ours of {dataset}.")
    if experiment.name in published_numbers.CORRECTIONS:
        said.append(published_numbers.CORRECTIONS[experiment.name])
    several = any(record["runs"] and record["runs"] > 1 for record in records)
    if several and experiment.kind != "ensemble":
        said.append("Of several runs: the best, then mean ± sample standard deviation.")
    return Result(
        name=experiment.name,
        title=experiment.title,
        selection=selection,
        headings=tuple(heading for heading, _ in columns),
        cells=tuple(tuple(text(at) for _, text in columns) for at in range(len(rows))),
        records=tuple(records),
        notes=tuple(said),
        evidence=tuple(
            evidence(published.method, one.runs, experiment.protocol, one.scores[0].examples)
            for published, one in rows
            if one is not None and one.scores
        ),
        made=machine.now(),
    )


def _record(
    experiment: Experiment, published: published_numbers.Error, one: Measured | None
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "label": published.method,
        "paper_top1": published.top1,
        "paper_top5": published.top5,
        "runs": "" if one is None else len(one.runs),
    }
    for which in ("top1", "top5"):
        found = _values(one, which)
        values[f"{which}_best"] = min(found) if found else ""
        values[f"{which}_mean"] = statistics.mean(found) if found else ""
        values[f"{which}_std"] = statistics.stdev(found) if len(found) > 1 else ""
    runs = one.runs if one else ()
    # Of the last epoch, under the augmentation, as the weights moved.
    last = [run.history[-1]["error"] for run in runs]
    return {
        **values,
        "training_error": statistics.mean(last) if last else "",
        "protocol": experiment.protocol,
        **(facts(runs, one.scores[0].examples) if one and runs else {}),
        "missing": "; ".join(one.missing) if one else "",
    }


def curves(
    experiment: Experiment, measured: Sequence[Measured], selection: Mapping[str, Any]
) -> Result:
    """Figures 1, 4 and 6: the whole courses, and where they end."""
    records, cells = [], []
    for one in measured:
        for run in one.runs:
            records += [
                {"label": one.net.label, "seed": run.job.seed, **row} for row in run.history
            ]
        ends = [run.history[-1] for run in one.runs]
        cells.append(
            (
                one.net.label,
                _spread([row["error"] for row in ends]),
                _spread([row["val_error"] for row in ends]),
                joined(f"{row['step']:,.0f}" for row in ends) or UNASKED,
                str(len(ends) or UNASKED),
            )
        )
    notes = [
        "Training error: of the last epoch, under the augmentation. Validation error: of the "
        "images held out, or of the test images where none are; photographs by their central crop."
    ]
    if any(len(one.runs) > 1 for one in measured):
        notes.append("The figure draws each net's first seed.")
    return Result(
        name=experiment.name,
        title=experiment.title,
        selection=selection,
        headings=("network", "training error %", "validation error %", "iterations", "runs"),
        cells=tuple(cells),
        records=tuple(records),
        notes=(*_missing(measured), *notes),
        evidence=tuple(
            evidence(one.net.label, one.runs, experiment.protocol, one.scores[0].examples)
            for one in measured
            if one.runs
        ),
        made=machine.now(),
    )


def responses(
    experiment: Experiment,
    found: Sequence[tuple[Net, Run, Mapping[str, Any]]],
    missing: Sequence[str],
    selection: Mapping[str, Any],
) -> Result:
    """Figure 7: every layer's deviation, in layer order and sorted."""
    records, cells = [], []
    for net, run, values in found:
        stds = values["stds"]
        ranks = sorted(range(len(stds)), key=lambda at: -stds[at])
        place = {at: rank for rank, at in enumerate(ranks, start=1)}
        records += [
            {"label": net.label, "seed": run.job.seed, "layer": at + 1, "name": name}
            | {"std": std, "rank": place[at]}
            for at, (name, std) in enumerate(zip(values["layers"], stds, strict=True))
        ]
        numbers = (statistics.mean(stds), min(stds), max(stds))
        cells.append((net.label, str(len(stds)), *(f"{number:.3f}" for number in numbers)))
    return Result(
        name=experiment.name,
        title=experiment.title,
        selection=selection,
        headings=("network", "3x3 layers", "mean deviation", "smallest", "largest"),
        cells=tuple(cells),
        records=tuple(records),
        notes=(
            *missing,
            "After batch norm, before the non-linearity or the addition, over all test images.",
        ),
        evidence=tuple(
            evidence(net.label, (run,), None, values["examples"]) for net, run, values in found
        ),
        made=machine.now(),
    )


def table_1(
    experiment: Experiment, rows: Sequence[costs.Row], selection: Mapping[str, Any]
) -> Result:
    """Table 1: counted on the built nets, no run needed."""
    records = [dict(zip(costs.COLUMNS, row, strict=True)) for row in rows]
    with_vgg = any(row[0].startswith("vgg") for row in rows)
    return Result(
        name=experiment.name,
        title=experiment.title,
        selection=selection,
        headings=(
            "network",
            "layers",
            "shortcut",
            "parameters",
            "paper, M",
            "multiply-adds, G",
            "paper, G",
        ),
        cells=tuple(costs.printed(row) for row in rows),
        records=tuple(records),
        notes=costs.NOTES if with_vgg else costs.NOTES[:1],
        evidence=(
            (
                "every row",
                "counted on the built net",
                UNASKED,
                "224x224 and 32x32 images; 1000 and 10 classes",
                UNASKED,
                machine.now()[:10],
                "python -m training networks",
            ),
        ),
        made=machine.now(),
    )


def _missing(measured: Sequence[Measured]) -> tuple[str, ...]:
    return tuple(f"Missing: {reason}" for one in measured for reason in one.missing)


def _values(one: Measured | None, which: str) -> list[float]:
    scores = [getattr(score, which) for score in one.scores] if one else []
    return [value for value in scores if value is not None]


def _ours(one: Measured | None, which: str) -> str:
    if one is None:
        return UNASKED
    values = _values(one, which)
    if not values:
        return MISSING if not one.scores else UNASKED
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{min(values):.2f} ({_spread(values)})"


def _spread(values: Sequence[float]) -> str:
    """`8.91`, or mean ± sample standard deviation of several, as the paper has `6.61 ± 0.16`."""
    if not values:
        return MISSING
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"


def _number(value: float | str) -> str:
    return UNASKED if value == "" else f"{value:.2f}"
