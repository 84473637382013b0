"""An exported version's file for another runtime as a classifier of image files."""

from __future__ import annotations

import json
from pathlib import Path

from training.data.resizing import Resizing
from training.evaluation.prediction import PixelClassifier
from training.export.other_runtimes import FORMATS, load, require


def files(version: Path, name: str) -> list[Path]:
    """Returns the files that a version has for a runtime.

    Args:
        version: The version's directory.
        name: Key of `FORMATS`.

    Raises:
        FileNotFoundError: If it has none; the message names those that it has.
    """
    folder = version / "runtimes"
    if not (folder / FORMATS[name][0]).is_file():
        found = [other for other, (file, _) in FORMATS.items() if (folder / file).is_file()]
        raise FileNotFoundError(
            f"{version} has no file for {name}; it has {', '.join(found) or 'none for a runtime'}. "
            f"Export it with --formats {name}."
        )
    return sorted(folder.glob(f"{Path(FORMATS[name][0]).stem}.*"))


def runtime_classifier(version: Path, name: str, top: int) -> PixelClassifier:
    """Returns the classifier of a version in a runtime; the arguments are those of `files`.

    Raises:
        ValueError: If the runtime is not installed.
    """
    require([name])
    facts = json.loads((version / "assets" / "model.json").read_text(encoding="utf-8"))
    labels = (version / "assets" / "labels.txt").read_text(encoding="utf-8-sig").splitlines()
    return PixelClassifier(
        load(name, version / "runtimes" / FORMATS[name][0]),
        Resizing(**facts["resizing"]),
        facts.get("channels", 3),
        labels,
        top,
    )
