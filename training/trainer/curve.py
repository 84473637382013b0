"""The picture of one run: its errors over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from training.common import figures
from training.trainer.callbacks.history import Row


def draw(
    rows: Sequence[Row], points: Sequence[Row], role: figures.HeldOut, name: str, path: Path
) -> None:
    """Writes a PNG of the training error at every point, and of the other error at every epoch.

    Args:
        rows: A row per epoch, of `history.csv`.
        points: Rows within epochs, of `steps.csv`; runs of older versions have none.
        role: `validation` or `test`: the images that an epoch's end is evaluated on.
        name: The network's.
        path: Of the picture.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    colour = figures.net_colours([name])[name]
    figures.draw_error(axes, points or rows, "error", "training", color=colour, label="training")
    figures.draw_error(axes, rows, "val_error", role, color=colour, label=role)
    figures.finish_axes(axes, title=name, xlabel="step", ylabel="error (%)", ylim=(0, None))
    figures.save(figure, path)
