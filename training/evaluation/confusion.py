"""The confusion matrix as a picture, and its largest entries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from training.common.figures import PIXELS_PER_INCH, save

NAMED = 25  # classes up to which the axes have their names
NUMBERED = 15  # classes up to which each cell has its number
LISTED = 60  # most frequent confusions beside the matrix of more classes


def most_frequent(confusion: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """The confusions with most images: (true class, taken for, images); ties in class order."""
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    rows, columns = np.unravel_index(order, wrong.shape)
    return [
        (int(row), int(column), int(wrong[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if wrong[row, column]
    ]


def draw(confusion: np.ndarray, class_names: Sequence[str], path: Path) -> None:
    """Draws the confusion matrix as a PNG, each row as shares of the true class's images.

    Up to `NAMED` classes have their names on the axes and up to `NUMBERED` their numbers of images
    in the cells; of more classes every cell is at least a pixel, and the most frequent confusions
    are listed beside the matrix.

    Args:
        confusion: (C, C) numbers of images; row: true class, column: most probable class.
        class_names: The C classes'.
        path: The PNG.
    """
    from sklearn.metrics import ConfusionMatrixDisplay

    classes = len(class_names)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = max(4.5, 0.42 * min(classes, NAMED), classes / PIXELS_PER_INCH + 0.3)  # inches
    listed, numbered = classes > NAMED, classes <= NUMBERED
    figure = Figure(figsize=(side + (4.5 if listed else 2), side + 1), layout="constrained")
    if listed:
        axes, beside = figure.subplots(1, 2, width_ratios=(side, 3.5))
        _list(beside, confusion, class_names)
    else:
        axes = figure.subplots()
    # The cube root, so that a share of 1 % can be told from none.
    scale = PowerNorm(1 / 3, vmin=0, vmax=1)
    display = ConfusionMatrixDisplay(shares, display_labels=class_names if not listed else None)
    display.plot(
        ax=axes,
        cmap="Blues",
        include_values=numbered,
        xticks_rotation=45,
        colorbar=False,
        im_kw={"norm": scale, "interpolation": "nearest"},
    )
    if numbered:
        for text, images in zip(display.text_.flat, confusion.flat, strict=True):
            text.set(text=str(images) if images else "", fontsize=8)
    axes.set(xlabel="most probable class", ylabel="true class")
    if listed:
        axes.set(xticks=[], yticks=[])
    for label in axes.get_xticklabels():
        label.set(horizontalalignment="right", rotation_mode="anchor")
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)  # names may have dollar signs
    bar = figure.colorbar(display.im_, ax=axes, shrink=0.6)
    bar.set_label("share of the true class's images")
    bar.set_ticks([0, 0.01, 0.05, 0.2, 0.5, 1], labels=["0", "1 %", "5 %", "20 %", "50 %", "100 %"])
    save(figure, path)


def _list(axes: Axes, confusion: np.ndarray, class_names: Sequence[str]) -> None:
    lines = [
        f"{images:4}  {class_names[true]} → {class_names[taken]}"
        for true, taken, images in most_frequent(confusion, LISTED)
    ]
    axes.set_axis_off()
    axes.set_title("images  true class → taken for", fontsize=9, loc="left")
    axes.text(0, 1, "\n".join(lines), family="monospace", fontsize=8, va="top", parse_math=False)
