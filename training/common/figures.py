"""Pictures of runs, in the manner of the paper's Figs. 4 and 6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.common.files import atomic_write

Row = Mapping[str, float]
# Fig. 6: plain nets left, residual nets right; a colour per depth, thin for training.
COLOURS = ("#c8a415", "#2a9d8f", "#3a6ea5", "#7b2d8b", "#d1495b")


def error_axes(axes, runs: Mapping[str, Sequence[Row]], title: str) -> None:
    """Draws training error (dashed) and validation error (solid) over iterations."""
    for colour, (name, rows) in zip(cycle(COLOURS), runs.items(), strict=False):
        steps = [row["step"] for row in rows]
        axes.plot(steps, [row["error"] for row in rows], "--", color=colour, linewidth=0.9)
        axes.plot(steps, [row["val_error"] for row in rows], color=colour, label=name)
    axes.set(title=title, xlabel="iteration", ylabel="error (%)")
    axes.grid(alpha=0.25)
    axes.legend(title="— validation   - - training", fontsize=8, title_fontsize=8)


def curve(rows: Sequence[Row], name: str, path: Path) -> None:
    """One run's error and learning rate."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    error_axes(axes, {name: rows}, name)
    axes.set_ylim(bottom=0)
    save(figure, path)


def panels(panels: Mapping[str, Mapping[str, Sequence[Row]]], path: Path) -> None:
    """Several runs side by side on one scale, a panel per title: {title: {run: rows}}."""
    figure = Figure(figsize=(5.2 * len(panels), 4), layout="constrained")
    for axes, (title, runs) in zip(
        figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels.items(), strict=True
    ):
        error_axes(axes, runs, title)
    figure.axes[0].set_ylim(bottom=0)  # once all are drawn: they share it
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Writes the PNG whole or not at all."""
    FigureCanvasAgg(figure)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
