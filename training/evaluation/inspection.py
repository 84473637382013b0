"""The looks into nets: what `keras_resnet.analysis` finds, as a picture and a table beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from keras_resnet import analysis
from training.common.files import write_csv
from training.evaluation import inspection_figures
from training.trainer.callbacks import gradient_record


def responses(models: Mapping[str, keras.Model], images: np.ndarray, out: Path) -> None:
    """Fig. 7 of the paper, of nets by name: `out` as `.png` and `.csv`."""
    found = {name: analysis.layer_responses(model, images) for name, model in models.items()}
    inspection_figures.responses(
        {name: one.stds for name, one in found.items()}, out.with_suffix(".png")
    )
    rows = [
        (name, *row)
        for name, one in found.items()
        for row in zip(one.names, one.stds.tolist(), strict=True)
    ]
    write_csv(out.with_suffix(".csv"), [("net", "layer", "std"), *rows])


def gradients(
    models: Mapping[str, keras.Model], images: np.ndarray, labels: np.ndarray, out: Path
) -> None:
    """The norm of one batch's gradient at every layer: `out` as `.png` and `.csv`."""
    found = {name: analysis.gradient_norms(model, images, labels) for name, model in models.items()}
    inspection_figures.gradients(
        {name: one.norms for name, one in found.items()}, out.with_suffix(".png")
    )
    rows = [
        (name, *row)
        for name, one in found.items()
        for row in zip(one.names, one.norms.tolist(), strict=True)
    ]
    write_csv(out.with_suffix(".csv"), [("net", "layer", "norm"), *rows])


def course(workdir: Path, out: Path) -> None:
    """The norm of every layer's gradient over a run that recorded it: `out` as `.png`."""
    steps, _, norms = gradient_record.read(workdir / gradient_record.FILE)
    inspection_figures.gradients_over_training(steps, norms, out.with_suffix(".png"))


def gradcam(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    out: Path,
    layer: str | None = None,
) -> None:
    """Where the most probable class is seen: `out` as `.png`, and the maps as `.csv`."""
    found = analysis.grad_cam(model, images, layer=layer)
    titles = [
        f"✓ {class_names[true]}"
        if seen == true
        else f"✗ {class_names[seen]}\ntrue: {class_names[true]}"
        for seen, true in zip(found.classes, labels, strict=True)
    ]
    inspection_figures.overlays(images, found.maps, titles, out.with_suffix(".png"))
    rows = [
        (i, class_names[true], class_names[seen], row, *values)
        for i, (true, seen, rows) in enumerate(
            zip(labels, found.classes, found.maps.tolist(), strict=True)
        )
        for row, values in enumerate(rows)
    ]
    columns = [f"column {i}" for i in range(found.maps.shape[2])]
    write_csv(out.with_suffix(".csv"), [("image", "true", "seen", "row", *columns), *rows])


def neighbours(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    out: Path,
    queries: int,
    nearest: int,
) -> None:
    """The images most like each of `queries` others: `out` as `.png` and `.csv`.

    Raises:
        ValueError: If there are not as many images.
    """
    if not 1 <= queries <= len(images):
        raise ValueError(f"There are {len(images)} images to find some like {queries} of.")
    features = analysis.features(model, images)
    places = np.linspace(0, len(images) - 1, queries).round().astype(int)
    # The most similar one is the image itself, or its double.
    found = analysis.nearest(features[places], features, nearest + 1)
    indices, similarities = _others(places, found)
    titles = [
        [
            f"{class_names[labels[i]]} {similarity:.2f}"
            for i, similarity in zip(row, values, strict=True)
        ]
        for row, values in zip(indices, similarities, strict=True)
    ]
    inspection_figures.neighbours(
        images[places],
        images[indices],
        [class_names[labels[place]] for place in places],
        titles,
        out.with_suffix(".png"),
    )
    rows = [
        (place, class_names[labels[place]], rank, i, class_names[labels[i]], similarity)
        for place, row, values in zip(places, indices, similarities, strict=True)
        for rank, (i, similarity) in enumerate(zip(row, values, strict=True), start=1)
    ]
    heading = ("image", "class", "rank", "neighbour", "its class", "cosine")
    write_csv(out.with_suffix(".csv"), [heading, *rows])


def _others(
    places: np.ndarray, found: analysis.Neighbours
) -> tuple[list[list[int]], list[list[float]]]:
    """The neighbours without the query itself, one fewer in each row."""
    rows = []
    for place, row, values in zip(places, found.indices, found.similarities, strict=True):
        kept = [pair for pair in zip(row, values, strict=True) if pair[0] != place]
        rows.append(kept[: len(row) - 1])
    indices = [[int(i) for i, _ in row] for row in rows]
    return indices, [[float(value) for _, value in row] for row in rows]
