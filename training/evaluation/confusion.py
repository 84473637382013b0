"""Which class is taken for which: the matrix as a picture, and the most frequent confusions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from training.common.figures import save

NAMED = 25  # classes up to which the axes have their names
NUMBERED = 15  # classes up to which each cell has its number
LISTED = 60  # most frequent confusions beside the matrix of more classes
PIXELS_PER_INCH = 120  # of `save`


def most_frequent(confusion: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """(true class, taken for, images), most images first; of as many, in the order of classes."""
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    rows, columns = np.unravel_index(order, wrong.shape)
    return [
        (int(row), int(column), int(wrong[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if wrong[row, column]
    ]


def draw(confusion: np.ndarray, class_names: Sequence[str], path: Path) -> None:
    """The confusion matrix as a PNG: each row as shares of the true class's images.

    Up to `NAMED` classes carry their names and up to `NUMBERED` their numbers of images; of more
    every cell is a pixel at least, and the most frequent confusions are listed beside.
    """
    classes = len(class_names)
    images = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(images, 1)
    side = max(4.5, 0.42 * min(classes, NAMED), classes / PIXELS_PER_INCH + 0.3)  # inches
    listed = classes > NAMED
    figure = Figure(figsize=(side + (4.5 if listed else 2), side + 1), layout="constrained")
    if listed:
        axes, beside = figure.subplots(1, 2, width_ratios=(side, 3.5))
        _list(beside, confusion, class_names)
    else:
        axes = figure.subplots()
    # The cube root, so that a share of 1 % can be told from none.
    shown = axes.imshow(np.cbrt(shares), cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    bar = figure.colorbar(shown, ax=axes, shrink=0.6, label="share of the true class's images")
    bar.set_ticks(np.cbrt([0, 0.01, 0.05, 0.2, 0.5, 1]), labels=["0", "1 %", "5 %", "20 %", "50 %", "100 %"])  # fmt: skip  # noqa: E501
    axes.set(xlabel="most probable class", ylabel="true class")
    if classes <= NAMED:
        axes.set_xticks(range(classes), class_names, rotation=45, ha="right", fontsize=8)
        axes.set_yticks(range(classes), class_names, fontsize=8)
    if classes <= NUMBERED:
        for row, column in np.ndindex(classes, classes):
            if confusion[row, column]:
                colour = "white" if shares[row, column] > 0.3 else "black"
                number = str(confusion[row, column])
                axes.text(column, row, number, color=colour, ha="center", va="center", fontsize=8)
    save(figure, path)


def _list(axes, confusion: np.ndarray, class_names: Sequence[str]) -> None:
    lines = [
        f"{images:4}  {class_names[true]} → {class_names[taken]}"
        for true, taken, images in most_frequent(confusion, LISTED)
    ]
    axes.set_axis_off()
    axes.set_title("images  true class → taken for", fontsize=9, loc="left")
    axes.text(0, 1, "\n".join(lines), family="monospace", fontsize=8, va="top")
