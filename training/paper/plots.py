"""Draws every table and figure of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from training.common.figures import (
    GREY,
    HeldOut,
    Row,
    draw_error,
    finish_axes,
    net_colours,
    save,
    save_learning_curves,
)
from training.paper.experiments import Net
from training.paper.measurements import Measured
from training.paper.results import Result, caption

DEEPEST = 110  # Fig. 6 draws deeper nets in a panel of their own, beside this one


def dots(
    result: Result,
    published: Sequence[float | None],
    measured: Sequence[Sequence[float]],
    unit: str,
    path: Path,
) -> None:
    """Draws a table as one line for each row: the paper's number, and a dot for each run.

    Args:
        result: The table; its first column names the rows.
        published: The paper's number of each row, or `None`.
        measured: The measured numbers of each row.
        unit: Label of the axis.
        path: The PNG.
    """
    shown = [i for i, value in enumerate(published) if value is not None or len(measured[i]) > 0]
    names = [result.cells[i][0] for i in shown]
    colours = net_colours(names)
    figure = Figure(figsize=(7, 1.2 + 0.3 * max(len(shown), 2)), layout="constrained")
    axes = figure.subplots()
    values = [np.nan if (value := published[i]) is None else value for i in shown]
    axes.plot(values, np.arange(len(shown)), "D", color=GREY, label="paper")
    for place, (i, name) in enumerate(zip(shown, names, strict=True)):
        heights = np.full(len(measured[i]), place)
        axes.plot(measured[i], heights, "o", color=colours[name], alpha=0.75)
    axes.plot([], [], "o", color=net_colours(["measured"])["measured"], label="measured")
    axes.set_yticks(np.arange(len(shown)), names)
    axes.invert_yaxis()
    axes.set_title(caption(result), fontsize=9)
    finish_axes(axes, xlabel=unit)
    save(figure, path)


def learning_curves(measured: Sequence[Measured], result: Result, path: Path) -> None:
    """Draws Fig. 1, 4 or 6: errors over iterations, of the first seed of each network."""
    held_out = next(run.held_out for one in measured for run in one.runs)
    histories: dict[Net, Sequence[Row]] = {
        one.net: one.runs[0].history for one in measured if one.runs
    }
    if result.name == "fig1":
        _train_beside_test(histories, held_out, result, path)
        return
    panels: dict[str, dict[str, Sequence[Row]]] = {}
    for net, rows in histories.items():
        titles = ["plain nets" if net.family == "plain" else "residual nets"]
        if net.family == "resnet" and max(other.depth for other in histories) > DEEPEST:
            titles = titles if net.depth <= DEEPEST else []
            titles += ["very deep residual nets"] if net.depth >= DEEPEST else []
        for title in titles:
            panels.setdefault(title, {})[net.label] = rows
    save_learning_curves(panels, held_out, path, caption(result))


def _train_beside_test(
    histories: Mapping[Net, Sequence[Row]], held_out: HeldOut, result: Result, path: Path
) -> None:
    """Draws Fig. 1: training error left, test error right, on one scale."""
    figure = Figure(figsize=(8.5, 3.6), layout="constrained")
    both = figure.subplots(1, 2, sharey=True)
    colours = net_colours([net.label for net in histories])
    for axes, column, line in zip(
        both, ("error", "val_error"), ("training", held_out), strict=True
    ):
        for net, rows in histories.items():
            draw_error(axes, rows, column, line, color=colours[net.label], label=net.label)
        finish_axes(axes, title=f"{line} error (%)", xlabel="iteration")
    both[0].set_ylim(bottom=0)
    figure.suptitle(caption(result), fontsize=9)
    save(figure, path)
