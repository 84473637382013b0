"""Pictures of what `keras_resnet.analysis` finds in nets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from training.common.figures import finish_axes, net_colours, save

HIDDEN = 10  # a net whose largest value is so many times another's would hide it on a linear axis


def responses(stds: Mapping[str, np.ndarray], path: Path) -> None:
    """Draws Fig. 7: the standard deviation of every layer's response, in layer order and sorted.

    Args:
        stds: {network: deviations (layers,)}, a line each.
        path: The PNG.
    """
    figure = Figure(figsize=(6.5, 5.5), layout="constrained")
    by_layer, by_magnitude = figure.subplots(2, 1)
    _draw_layers(by_layer, stds)
    _draw_layers(by_magnitude, {name: np.sort(values)[::-1] for name, values in stds.items()})
    labels = {"ylabel": "standard deviation", **y_axis(stds)}
    finish_axes(by_layer, xlabel="layer, from input to output", **labels)
    finish_axes(by_magnitude, xlabel="layer, sorted by magnitude", **labels)
    save(figure, path)


def gradients(norms: Mapping[str, np.ndarray], path: Path) -> None:
    """Draws the norm of the gradient at every layer on a logarithmic axis.

    Args:
        norms: {network: norms (layers,)}, a line each.
        path: The PNG.
    """
    figure = Figure(figsize=(6.5, 3.4), layout="constrained")
    axes = figure.subplots()
    _draw_layers(axes, norms)
    labels = {"xlabel": "layer, from input to output", "ylabel": "norm of the gradient"}
    finish_axes(axes, **labels, yscale="log")
    save(figure, path)


def gradients_over_training(steps: Sequence[int], norms: np.ndarray, path: Path) -> None:
    """Draws the norm of the gradient at every layer over a run as a colour map.

    Args:
        steps: The iterations at which the gradients were recorded.
        norms: (steps, layers).
        path: The PNG.
    """
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
    """Draws every image, and below it the image under its class activation map.

    Args:
        images: (N, H, W, C), 0..255.
        maps: (N, h, w), 0..1.
        titles: One for each image.
        path: The PNG.
        columns: Images side by side.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.7 * columns, 3.7 * rows), layout="constrained")
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for i, (image, heat, title) in enumerate(zip(images, maps, titles, strict=True)):
        row, column = 2 * (i // columns), i % columns
        draw_image(grid[row, column], image, title)
        shown = overlay(grid[row + 1, column], image, heat)
    figure.colorbar(shown, ax=grid, shrink=0.6, label="class activation, 1 at its highest")
    save(figure, path)


def overlay(axes: Axes, image: np.ndarray, heat: np.ndarray) -> AxesImage:
    """Draws an image (H, W, C), 0..255, half covered by a map (h, w), 0..1, of the same extent."""
    draw_image(axes, image)
    height, width = image.shape[:2]
    return axes.imshow(
        heat,
        cmap="viridis",
        vmin=0,
        vmax=1,
        alpha=0.5,
        interpolation="bilinear",
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )


def neighbours(
    queries: np.ndarray,
    found: np.ndarray,
    query_titles: Sequence[str],
    titles: Sequence[Sequence[str]],
    path: Path,
) -> None:
    """Draws a row for every query: the image itself, and the images nearest to it.

    Args:
        queries: Images (Q, H, W, C), 0..255.
        found: Their nearest images (Q, k, H, W, C).
        query_titles: One for each query.
        titles: For each query, one for each of its nearest images.
        path: The PNG.
    """
    count, k = found.shape[:2]
    figure = Figure(figsize=(1.4 * (k + 1), 1.6 * count), layout="constrained")
    grid = figure.subplots(count, k + 1, squeeze=False)
    for row, query, query_title, images, names in zip(
        grid, queries, query_titles, found, titles, strict=True
    ):
        draw_image(row[0], query, query_title)
        row[0].title.set_weight("bold")
        for axes, image, name in zip(row[1:], images, names, strict=True):
            draw_image(axes, image, name)
    save(figure, path)


def _draw_layers(axes: Axes, values: Mapping[str, np.ndarray]) -> None:
    colours = net_colours(list(values))
    for name, line in values.items():
        axes.plot(np.arange(1, len(line) + 1), line, color=colours[name], label=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def y_axis(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the properties of the y axis: logarithmic if one net would hide another."""
    largest = [float(np.max(line)) for line in values.values()]
    positive = min(float(np.min(line)) for line in values.values()) > 0
    hidden = max(largest) > HIDDEN * min(largest)
    return {"yscale": "log"} if positive and hidden else {"ylim": (0, None)}


def marked(name: str, true: str) -> str:
    """A class's name after a tick, or after a cross where another class is the true one."""
    return f"{'✓' if name == true else '✗'} {name}"


def draw_image(axes: Axes, image: np.ndarray, title: str | None = None) -> None:
    """Draws an image (H, W, 1 or 3), 0..255, without axes."""
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    axes.imshow(np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels)
    axes.set_axis_off()
    if title is not None:
        axes.set_title(title, fontsize=7, parse_math=False)  # names may have dollar signs
