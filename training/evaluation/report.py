"""An evaluation as files: `evaluation.json`, the classes' errors, the confusion matrix."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.common.files import write_csv, write_json
from training.evaluation import confusion
from training.evaluation.evaluate import Evaluation

SUMMARY = "evaluation.json"


def claim(out: Path) -> None:
    """Makes the directory of an evaluation.

    Raises:
        OSError: If it cannot be made, or holds an evaluation already.
    """
    out.mkdir(parents=True, exist_ok=True)
    if (out / SUMMARY).exists():
        raise FileExistsError(f"{out} holds an evaluation already: give another --out.")


def write(
    evaluation: Evaluation, class_names: Sequence[str], facts: Mapping[str, Any], out: Path
) -> None:
    """Writes `classes.csv`, `confusion.csv`, `confusion.png` and last `evaluation.json` into `out`.

    Args:
        evaluation: What was found.
        class_names: Of the classes.
        facts: About nets and data, for `evaluation.json`.
        out: A directory.
    """
    images = evaluation.confusion.sum(axis=1)
    errors = ["" if math.isnan(e) else round(e, 4) for e in evaluation.class_errors.tolist()]
    write_csv(
        out / "classes.csv",
        [("class", "images", "error"), *zip(class_names, images.tolist(), errors, strict=True)],
    )
    rows = zip(class_names, evaluation.confusion.tolist(), strict=True)
    write_csv(
        out / "confusion.csv",
        [("true class", *class_names), *((name, *counts) for name, counts in rows)],
    )
    confusion.draw(evaluation.confusion, class_names, out / "confusion.png")
    summary = {
        "protocol": evaluation.protocol,
        "examples": evaluation.examples,
        "top1_error": evaluation.top1_error,
        "top5_error": evaluation.top5_error,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    write_json(out / SUMMARY, {**summary, **facts})
