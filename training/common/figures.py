"""The style of every picture: residual nets are blue, plain nets red, and deeper ones darker.

Errors on training images are thin dashed lines, on validation images dash-dotted, on test images
solid: in the manner of the paper's Figs. 4 and 6, which draw training errors thin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.common.files import atomic_write

Row = Mapping[str, float]  # of a run's history: step, error and val_error, in per cent
HeldOut = Literal["validation", "test"]  # the images that `val_error` is of
Colour = tuple[float, float, float, float]

PIXELS_PER_INCH = 120
MARKED = 30  # runs of fewer epochs have a marker for each
GREY = "#6b7280"  # for lines that are no network: the paper's numbers, the best so far
LINES: Mapping[str, Mapping[str, Any]] = {
    "training": {"linestyle": "--", "linewidth": 0.9},
    "validation": {"linestyle": "-."},
    "test": {"linestyle": "-"},
}


def net_colours(names: Sequence[str]) -> dict[str, Colour]:
    """Returns the colour of each network: a shade of red if its name has "plain" in it, else blue.

    Args:
        names: Networks, the shallowest first; later ones are darker.
    """
    colours: dict[str, Colour] = {}
    for map_name, plain in (("Blues", False), ("Reds", True)):
        family = [name for name in names if ("plain" in name.lower()) is plain]
        shades = [0.75] if len(family) == 1 else np.linspace(0.45, 0.95, len(family))
        colours |= dict(zip(family, map(colormaps[map_name], shades), strict=True))
    return colours


def finish_axes(axes: Axes, legend_title: str | None = None, **properties: Any) -> None:
    """Sets titles, labels and limits, draws the grid, and the legend if any line has a label."""
    axes.set(**properties)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(title=legend_title, fontsize=8, title_fontsize=8)


def draw_error(axes: Axes, rows: Sequence[Row], column: str, line: str, **style: Any) -> None:
    """Draws a column of a run's history over its steps, in the style of `LINES[line]`."""
    marker = "o" if len(rows) < MARKED else ""  # a line of one point could not be seen
    steps, errors = [row["step"] for row in rows], [row[column] for row in rows]
    axes.plot(steps, errors, marker=marker, markersize=3, **LINES[line], **style)


def learning_curves(
    axes: Axes, runs: Mapping[str, Sequence[Row]], held_out: HeldOut, title: str
) -> None:
    """Draws the training error and the held-out error of each run over its iterations.

    Args:
        axes: Where to draw.
        runs: {network: history}, the shallowest first.
        held_out: Which images the column `val_error` is of.
        title: The heading of the axes.
    """
    colours = net_colours(list(runs))
    for name, rows in runs.items():
        draw_error(axes, rows, "error", "training", color=colours[name])
        draw_error(axes, rows, "val_error", held_out, color=colours[name], label=name)
    sign = {"validation": "-·-", "test": "—"}[held_out]
    finish_axes(
        axes,
        legend_title=f"{sign} {held_out}   - - training",
        title=title,
        xlabel="iteration",
        ylabel="error (%)",
    )


def save_learning_curves(
    panels: Mapping[str, Mapping[str, Sequence[Row]]],
    held_out: HeldOut,
    path: Path,
    caption: str | None = None,
) -> None:
    """Writes the PNG of several runs on one scale, side by side: {title: {network: history}}."""
    figure = Figure(figsize=(0.8 + 5.2 * len(panels), 4), layout="constrained")
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, runs) in zip(row, panels.items(), strict=True):
        learning_curves(axes, runs, held_out, title)
    row[0].set_ylim(bottom=0)  # after drawing: the panels share the scale
    if caption is not None:
        figure.suptitle(caption, fontsize=9)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Writes the figure as a PNG, atomically."""
    FigureCanvasAgg(figure)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=PIXELS_PER_INCH)
