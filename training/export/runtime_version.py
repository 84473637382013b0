"""An exported version in another runtime, from the file that `export --formats` wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.common.files import read_json
from training.data.decoding.resizing import Resizing
from training.evaluation.prediction import PixelClassifier
from training.export import other_runtimes
from training.export.other_runtimes import FORMATS, Predict
from training.models.trained_model import read_labels


def file(version: Path, name: str) -> Path:
    """Returns the file that a version has for a runtime.

    Args:
        version: The version's directory.
        name: Key of `FORMATS`.

    Raises:
        FileNotFoundError: If it has none; the message names those that it has.
    """
    folder = version / "runtimes"
    wanted = folder / FORMATS[name][0]
    if not wanted.is_file():
        found = [other for other, (known, _) in FORMATS.items() if (folder / known).is_file()]
        raise FileNotFoundError(
            f"{version} has no file for {name}; it has {', '.join(found) or 'none for a runtime'}. "
            f"Export it with --formats {name}."
        )
    return wanted


@dataclass(frozen=True)
class RuntimeVersion:
    """An exported version's network in another runtime, and what its input and output mean."""

    predict: Predict  # pixels 0..255 (N, S, S, C) float32 -> probabilities (N, K)
    resizing: Resizing
    channels: int
    labels: Sequence[str]
    max_pixels: int  # of an encoded image


def load(version: Path, name: str) -> RuntimeVersion:
    """Loads a version's file for a runtime; the arguments are those of `file`.

    Raises:
        FileNotFoundError: If it has none.
        ValueError: If the runtime is not installed.
    """
    other_runtimes.require([name])
    network = file(version, name)
    facts = read_json(version / "assets" / "model.json")
    labels = read_labels(version / "assets" / "labels.txt")
    return RuntimeVersion(
        other_runtimes.load(name, network),
        Resizing(**facts["resizing"]),
        facts.get("channels", 3),
        labels,
        facts["max_pixels"],
    )


def runtime_classifier(version: Path, name: str, top: int) -> PixelClassifier:
    """A version in a runtime as a classifier of image files; raises what `load` raises."""
    found = load(version, name)
    return PixelClassifier(found.predict, found.resizing, found.channels, found.labels, top)
