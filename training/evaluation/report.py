"""An evaluation as files: its summary, every answer, the classes' errors, the confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.common import machine
from training.common.files import write_csv, write_json
from training.data.splits import Dataset
from training.evaluation import answers, confusion
from training.evaluation.evaluate import Evaluation

SUMMARY, WORST = "evaluation.json", "worst.png"
ALWAYS = (SUMMARY, "answers.csv", "classes.csv", "confusion.csv", "confusion.png")


def claim(out: Path) -> None:
    """Makes the directory of an evaluation.

    Raises:
        OSError: If it cannot be made, or holds a file that would be overwritten.
    """
    out.mkdir(parents=True, exist_ok=True)
    there = [name for name in (*ALWAYS, WORST) if (out / name).exists()]
    if there:
        raise FileExistsError(f"{out} has {', '.join(there)} already: give another --out.")


def write(
    evaluation: Evaluation, dataset: Dataset, size: int, facts: Mapping[str, Any], out: Path
) -> list[str]:
    """Writes an evaluation, `evaluation.json` last.

    Args:
        evaluation: The errors and the answers.
        dataset: Its test images were seen.
        size: Side of the squares that the nets take, for the picture of photographs.
        facts: About nets and data, for `evaluation.json`.
        out: A directory.

    Returns:
        The names of the files.
    """
    names = dataset.class_names
    images = evaluation.confusion.sum(axis=1)
    errors = ["" if math.isnan(e) else round(e, 4) for e in evaluation.class_errors.tolist()]
    rows = zip(names, images.tolist(), errors, strict=True)
    write_csv(out / "classes.csv", [("class", "images", "error"), *rows])
    counts = zip(names, evaluation.confusion.tolist(), strict=True)
    write_csv(
        out / "confusion.csv",
        [("true class", *names), *((name, *of_class) for name, of_class in counts)],
    )
    confusion.draw(evaluation.confusion, names, out / "confusion.png")
    answers.write(evaluation.answers, dataset.test, names, out / "answers.csv")
    drawn = answers.draw_worst(evaluation.answers, dataset.test, names, size, out / WORST)
    summary = {
        "protocol": evaluation.protocol,
        "examples": evaluation.examples,
        "top1_error": evaluation.top1_error,
        "top5_error": evaluation.top5_error,
        "balanced_error": evaluation.balanced_error,
        "date": machine.now(),
    }
    write_json(out / SUMMARY, {**summary, **facts})
    return [*ALWAYS, *([WORST] if drawn else [])]
