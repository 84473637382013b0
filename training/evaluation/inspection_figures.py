"""Pictures of what `keras_resnet.analysis` finds in nets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from training.common.figures import COLOURS, save


def responses(stds: Mapping[str, np.ndarray], path: Path) -> None:
    """Fig. 7: the deviation of each layer's response, in layer order and sorted; a line a net."""
    figure = Figure(figsize=(6.5, 5.5), layout="constrained")
    for axes, title, arranged in zip(
        figure.subplots(2, 1),
        ("layer, from input to output", "layer, sorted by magnitude"),
        (lambda values: values, lambda values: np.sort(values)[::-1]),
        strict=True,
    ):
        _lines(axes, {name: arranged(values) for name, values in stds.items()})
        axes.set(xlabel=title, ylabel="standard deviation", ylim=(0, None))
    save(figure, path)


def gradients(norms: Mapping[str, np.ndarray], path: Path) -> None:
    """The norm of the gradient at each layer, logarithmic; a line a net."""
    figure = Figure(figsize=(6.5, 3.4), layout="constrained")
    axes = figure.subplots()
    _lines(axes, norms)
    axes.set(xlabel="layer, from input to output", ylabel="norm of the gradient", yscale="log")
    save(figure, path)


def gradients_over_training(steps: Sequence[int], norms: np.ndarray, path: Path) -> None:
    """The norm (steps, layers) of the gradient at each layer over the run, as colours."""
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    logarithms = np.log10(np.maximum(norms.T, np.finfo(np.float64).tiny))
    shown = axes.imshow(logarithms, aspect="auto", cmap="viridis", interpolation="nearest")
    axes.set(xlabel="iteration", ylabel="layer, from input to output")
    places = np.unique(np.linspace(0, len(steps) - 1, 6).round().astype(int))
    axes.set_xticks(places, [str(steps[place]) for place in places])
    figure.colorbar(shown, ax=axes, label="norm of the gradient, power of ten")
    save(figure, path)


def overlays(
    images: np.ndarray, maps: np.ndarray, titles: Sequence[str], path: Path, columns: int = 6
) -> None:
    """Each image (N, H, W, C), 0..255, above itself under its class activation map (N, h, w)."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.7 * columns, 3.7 * rows), layout="constrained")
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for i, (image, heat, title) in enumerate(zip(images, maps, titles, strict=True)):
        row, column = 2 * (i // columns), i % columns
        _picture(grid[row, column], image, title)
        _picture(grid[row + 1, column], overlay(image, heat))
    save(figure, path)


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image (H, W, C), 0..255, half covered by a map (h, w), 0..1: (H, W, 3), 0..255."""
    height, width = image.shape[:2]
    colours = colormaps["jet"](_bilinear(heat, height, width))[..., :3] * 255
    return 0.5 * colours + 0.5 * image


def _bilinear(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """(h, w) -> (height, width), pixel centres aligned; the border's values beyond them."""
    for axis, size in enumerate((height, width)):
        given = np.arange(values.shape[axis]) + 0.5
        wanted = (np.arange(size) + 0.5) * values.shape[axis] / size
        values = np.apply_along_axis(lambda line: np.interp(wanted, given, line), axis, values)  # noqa: B023
    return values


def neighbours(
    queries: np.ndarray,
    found: np.ndarray,
    query_titles: Sequence[str],
    titles: Sequence[Sequence[str]],
    path: Path,
) -> None:
    """A row for each image (Q, H, W, C), left, with its nearest (Q, k, H, W, C) beside it."""
    count, k = found.shape[:2]
    figure = Figure(figsize=(1.4 * (k + 1), 1.6 * count), layout="constrained")
    grid = figure.subplots(count, k + 1, squeeze=False)
    for row, query, query_title, images, names in zip(
        grid, queries, query_titles, found, titles, strict=True
    ):
        _picture(row[0], query, query_title)
        row[0].title.set_weight("bold")
        for axes, image, name in zip(row[1:], images, names, strict=True):
            _picture(axes, image, name)
    save(figure, path)


def _lines(axes, values: Mapping[str, np.ndarray]) -> None:
    for colour, (name, line) in zip(cycle(COLOURS), values.items(), strict=False):
        style = "--" if "plain" in name else "-"
        axes.plot(np.arange(1, len(line) + 1), line, style, color=colour, label=name)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)


def _picture(axes, image: np.ndarray, title: str | None = None) -> None:
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    axes.imshow(np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels)
    axes.set_axis_off()
    if title is not None:
        axes.set_title(title, fontsize=7)
