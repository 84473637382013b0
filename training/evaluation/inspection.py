"""Pictures and tables of the results of `keras_resnet.analysis`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from keras_resnet import analysis
from training.common.files import write_csv
from training.evaluation import inspection_figures
from training.evaluation.inspection_figures import marked
from training.trainer.callbacks import gradient_record


def responses(models: Mapping[str, keras.Model], images: np.ndarray, out: Path) -> None:
    """Draws Fig. 7 of the paper, a line for each net: `out` as `.png`, the numbers as `.csv`."""
    found = {name: analysis.layer_responses(model, images) for name, model in models.items()}
    _lines(found, "std", inspection_figures.responses, out)


def gradients(
    models: Mapping[str, keras.Model], images: np.ndarray, labels: np.ndarray, out: Path
) -> None:
    """Draws the norm of one batch's gradient at every layer: `out` as `.png` and `.csv`."""
    found = {name: analysis.gradient_norms(model, images, labels) for name, model in models.items()}
    _lines(found, "norm", inspection_figures.gradients, out)


def _lines(
    found: Mapping[str, tuple[Sequence[str], np.ndarray]],
    column: str,
    draw: Callable[[Mapping[str, np.ndarray], Path], None],
    out: Path,
) -> None:
    """Draws and writes a number for each layer of each net: (the layers' names, the numbers)."""
    draw({net: numbers for net, (_, numbers) in found.items()}, out.with_suffix(".png"))
    rows = [
        (net, *row)
        for net, (layers, numbers) in found.items()
        for row in zip(layers, numbers.tolist(), strict=True)
    ]
    write_csv(out.with_suffix(".csv"), [("net", "layer", column), *rows])


def course(workdir: Path, out: Path) -> None:
    """Draws the norm of every layer's gradient over a run that recorded it: `out` as `.png`."""
    steps, _, norms = gradient_record.read(workdir / gradient_record.FILE)
    inspection_figures.gradients_over_training(steps, norms, out.with_suffix(".png"))


def gradcam(
    model: keras.Model,
    images: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    true: Sequence[str] | None,
    out: Path,
    layer: str | None = None,
) -> None:
    """Draws where each image's most probable class is seen: `out` as `.png`, the maps as `.csv`.

    Args:
        model: Raw pixels 0..255 -> probabilities.
        images: {name: pixels (H, W, C), 0..255}.
        class_names: Those of the model's outputs.
        true: The images' true classes; `None` if they are not known.
        out: The path of both files but for their endings.
        layer: The layer that is inspected. Default: the last map.
    """
    pixels = np.stack(list(images.values()))
    found = analysis.grad_cam(model, pixels, layer=layer)
    seen = [class_names[i] for i in found.classes]
    if true is None:
        titles = [
            f"{_short(Path(name).name)}\n{one}" for name, one in zip(images, seen, strict=True)
        ]
    else:
        titles = [
            marked(one, own) + ("" if one == own else f"\ntrue: {own}")
            for one, own in zip(seen, true, strict=True)
        ]
    inspection_figures.overlays(pixels, found.maps, titles, out.with_suffix(".png"))
    rows = [
        (name, own, one, number, *values)
        for name, own, one, lines in zip(
            images, true or [""] * len(images), seen, found.maps.tolist(), strict=True
        )
        for number, values in enumerate(lines)
    ]
    columns = [f"column {i}" for i in range(found.maps.shape[2])]
    write_csv(out.with_suffix(".csv"), [("image", "true", "seen", "row", *columns), *rows])


def neighbours(
    model: keras.Model,
    images: np.ndarray,
    true: Sequence[str],
    out: Path,
    queries: int,
    nearest: int,
) -> None:
    """Draws some images, and beside each those most like it: `out` as `.png` and `.csv`.

    Args:
        model: Raw pixels 0..255 -> probabilities.
        images: (N, H, W, C), 0..255.
        true: The class of each image.
        out: The path of both files but for their endings.
        queries: How many of the images are drawn with their neighbours.
        nearest: How many neighbours each has.

    Raises:
        ValueError: If there are too few images.
    """
    if queries > len(images) or nearest >= len(images):
        raise ValueError(
            f"Of {len(images)} images, --queries is at most {len(images)} and --nearest at most "
            f"{len(images) - 1}; given {queries} and {nearest}."
        )
    features = analysis.features(model, images)
    places = np.linspace(0, len(images) - 1, queries).round().astype(int)
    # The most similar one is the image itself, or its double.
    found = analysis.nearest(features[places], features, nearest + 1)
    indices, similarities = _others(places, found)
    titles = [
        [
            f"{marked(true[i], true[place])} {similarity:.2f}"
            for i, similarity in zip(row, values, strict=True)
        ]
        for place, row, values in zip(places, indices, similarities, strict=True)
    ]
    inspection_figures.neighbours(
        images[places],
        images[indices],
        [true[place] for place in places],
        titles,
        out.with_suffix(".png"),
    )
    rows = [
        (place, true[place], rank, i, true[i], similarity)
        for place, row, values in zip(places, indices, similarities, strict=True)
        for rank, (i, similarity) in enumerate(zip(row, values, strict=True), start=1)
    ]
    heading = ("image", "class", "rank", "neighbour", "its class", "cosine")
    write_csv(out.with_suffix(".csv"), [heading, *rows])


def _others(
    places: np.ndarray, found: analysis.Neighbours
) -> tuple[list[list[int]], list[list[float]]]:
    """Drops the query itself from its neighbours, so that each row has one fewer."""
    rows = []
    for place, row, values in zip(places, found.indices, found.similarities, strict=True):
        kept = [pair for pair in zip(row, values, strict=True) if pair[0] != place]
        rows.append(kept[: len(row) - 1])
    indices = [[int(i) for i, _ in row] for row in rows]
    return indices, [[float(value) for _, value in row] for row in rows]


def _short(name: str) -> str:
    """Returns a file's name, its middle cut out where it is wider than a picture of the grid."""
    return name if len(name) <= 20 else f"{name[:9]}…{name[-10:]}"
