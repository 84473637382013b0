"""The picture of one run: its errors over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from training.common import figures
from training.trainer.callbacks.history import Row

COLOUR = "#3a6ea5"


def draw(rows: Sequence[Row], points: Sequence[Row], role: str, name: str, path: Path) -> None:
    """Writes a PNG of the training error at every point, and of the other error at every epoch.

    Args:
        rows: A row per epoch, of `history.csv`.
        points: Rows within epochs, of `steps.csv`; runs of before have none.
        role: `validation` or `test`: the images that an epoch's end is evaluated on.
        name: The network's.
        path: Of the picture.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    training = points or rows
    marker = "." if len(training) < 50 else ""  # a line of one point cannot be seen
    steps, errors = [row["step"] for row in training], [row["error"] for row in training]
    axes.plot(steps, errors, "--", marker=marker, color=COLOUR, linewidth=0.9, label="training")
    marker = "o" if len(rows) < 50 else ""
    steps, errors = [row["step"] for row in rows], [row["val_error"] for row in rows]
    axes.plot(steps, errors, marker=marker, markersize=4, color=COLOUR, label=role)
    axes.set(title=name, xlabel="step", ylabel="error (%)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
    figures.save(figure, path)
