"""The picture of each table and figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from training.common import figures
from training.evaluation import inspection_figures
from training.paper.experiments import Experiment
from training.paper.measures import Measured
from training.paper.results import Result

PAPER, OURS = "#8a8f98", "#3a6ea5"
DEEPEST = 110  # Fig. 6 shows the nets beyond it beside it, in a panel of their own


def dots(
    result: Result,
    paper_values: Sequence[float | None],
    ours: Sequence[Sequence[float]],
    unit: str,
    path: Path,
) -> None:
    """The paper's numbers and ours on one scale, a line per row; a dot for each run.

    Args:
        result: The table; its first column has the rows' names.
        paper_values: The paper's number of each row, or `None`.
        ours: Our numbers of each row.
        unit: Of both.
        path: The PNG.
    """
    shown = [at for at, value in enumerate(paper_values) if value is not None or len(ours[at]) > 0]
    figure = Figure(figsize=(7, 1.2 + 0.3 * max(len(shown), 2)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(shown))
    published = [np.nan if paper_values[at] is None else paper_values[at] for at in shown]
    axes.plot(published, places, "D", color=PAPER, markersize=6, label="paper")
    points = [(value, place) for place, at in enumerate(shown) for value in ours[at]]
    values, heights = zip(*points, strict=True) if points else ((), ())
    axes.plot(values, heights, "o", color=OURS, markersize=6, alpha=0.75, label="ours")
    axes.set_yticks(places, [result.cells[at][0] for at in shown])
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.set_title(caption(result), fontsize=9)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
    figures.save(figure, path)


def caption(result: Result) -> str:
    """The title, and under which recipes and budgets the numbers were made."""
    recipes = list(dict.fromkeys(row[2] for row in result.evidence if row[2] != "–"))
    said = " / ".join(recipes) if len(recipes) <= 2 else f"{recipes[0]}, and others"
    data = result.selection.get("dataset")
    return "\n".join(filter(None, (result.title, f"{data}; {said}" if data and said else "")))


def courses(
    experiment: Experiment, measured: Sequence[Measured], result: Result, path: Path
) -> None:
    """Figs. 1, 4 and 6: error over iterations, the first seed of each net."""
    drawn = {one.net: one.runs[0].history for one in measured if one.runs}
    if experiment.name == "fig1":
        _train_beside_test({net.label: rows for net, rows in drawn.items()}, result, path)
        return
    panels: dict[str, dict[str, list[dict[str, float]]]] = {}
    for net, rows in drawn.items():
        family = "plain nets" if net.family == "plain" else "residual nets"
        if net.depth <= DEEPEST:
            panels.setdefault(family, {})[net.label] = rows
        if net.family == "resnet" and net.depth >= DEEPEST and _deepest(drawn) > DEEPEST:
            panels.setdefault("very deep residual nets", {})[net.label] = rows
    _, *under = caption(result).splitlines()
    figures.panels({"\n".join((title, *under)): runs for title, runs in panels.items()}, path)


def _deepest(nets: Mapping) -> int:
    return max(net.depth for net in nets)


def _train_beside_test(
    runs: Mapping[str, Sequence[Mapping[str, float]]], result: Result, path: Path
) -> None:
    """Fig. 1: training error left, test error right, on one scale."""
    figure = Figure(figsize=(8.5, 3.6), layout="constrained")
    both = figure.subplots(1, 2, sharey=True)
    for axes, key, title in zip(
        both, ("error", "val_error"), ("training error (%)", "test error (%)"), strict=True
    ):
        for colour, (name, rows) in zip(figures.COLOURS, runs.items(), strict=False):
            steps = [row["step"] for row in rows]
            axes.plot(steps, [row[key] for row in rows], color=colour, label=name)
        axes.set(title=title, xlabel="iteration")
        axes.grid(alpha=0.25)
    both[0].set_ylim(bottom=0)
    both[0].legend(fontsize=8)
    figure.suptitle(caption(result), fontsize=9)
    figures.save(figure, path)


def responses(stds: Mapping[str, Sequence[float]], path: Path) -> None:
    """Fig. 7."""
    inspection_figures.responses({name: np.asarray(values) for name, values in stds.items()}, path)
