"""Every image's answer as a table, and the worst ones as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from training.common.figures import save
from training.common.files import write_csv
from training.data import probes
from training.data.splits import FileSplit, RecordSplit, Split
from training.evaluation.evaluate import Answers
from training.evaluation.inspection_figures import draw_image, marked

COLUMNS = ("image", "true_class", "answer", "probability", "true_class_probability")
SHOWN, ROW = 24, 6  # worst answers in the picture, and how many side by side


def write(answers: Answers, split: Split, class_names: Sequence[str], path: Path) -> None:
    """Writes `COLUMNS` of every image, by its file, or by its number in the split from 0."""
    images = split.paths if isinstance(split, FileSplit) else range(split.examples)
    rows = zip(
        images,
        (class_names[i] for i in answers.labels),
        (class_names[i] for i in answers.classes),
        answers.probabilities.round(6),
        answers.true_probabilities.round(6),
        strict=True,
    )
    write_csv(path, [COLUMNS, *rows])


def worst(answers: Answers, count: int = SHOWN) -> np.ndarray:
    """The places of the wrong answers, (n,), the true class's least probability first."""
    wrong = np.flatnonzero(answers.classes != answers.labels)
    order = np.argsort(answers.true_probabilities[wrong], kind="stable")
    return wrong[order[:count]]


def draw_worst(
    answers: Answers, split: Split, class_names: Sequence[str], size: int, path: Path
) -> bool:
    """Draws the worst answers' images, each with its true class and its answer.

    Args:
        answers: Of the split's images.
        split: The images.
        class_names: The classes'.
        size: Side of the central crops of photographs; other images are drawn whole.
        path: The PNG.

    Returns:
        Whether there is such a picture: not where all answers are right, nor of TFDS's records,
        which are read in sequence only.
    """
    places = worst(answers)
    if isinstance(split, RecordSplit) or not len(places):
        return False
    images, _ = probes.at(split, places, size)
    columns = min(ROW, len(places))
    rows = -(-len(places) // columns)
    figure = Figure(figsize=(1.9 * columns, 2.4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, place in zip(grid.flat, images, places, strict=False):
        answer, probability = answers.classes[place], answers.probabilities[place]
        true, own = answers.labels[place], answers.true_probabilities[place]
        draw_image(
            axes,
            image,
            f"{marked(class_names[answer], class_names[true])} {100 * probability:.0f} %\n"
            f"true: {class_names[true]} {100 * own:.0f} %",
        )
    save(figure, path)
    return True
