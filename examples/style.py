"""`python -m examples.style`: repaints a photograph in the style of another.

The network keeps its published weights, and the image that it sees is trained, until its features
agree with those of the content photograph at every place, and with those of the style photograph
regardless of the place (Gatys et al. 2016, preprint arXiv 1508.06576).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from matplotlib.figure import Figure
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image

import keras_resnet
from examples import common, picture_distances
from keras_resnet import Architecture
from keras_resnet.preprocessing import CONVENTIONS
from training.common import numeric

SUMMARY = "Repaint a photograph in another's style, as a residual net and its plain twin see it."
STEPS = 200
CONTENT_WEIGHT = 0.1  # of the content's distance in the loss, where the style's has weight 1
LEARNING_RATE = 0.03  # Adam's, falling to 0 along a cosine
LEVELS = 6  # of the pyramid: strides 1 to 32
NOISE = 0.02  # standard deviation of every level at the start
DARKEST, BRIGHTEST = 0.01, 0.99  # shares of white at which a photograph's pixels are cut
SMALLEST = 2 ** (LEVELS - 1)  # pixels, down and across
NETWORKS = tuple(
    dict.fromkeys(r.network for r in keras_resnet.weights.list_published() if "resnet" in r.network)
)


@dataclass(frozen=True)
class Outcome:
    """One net's measures, loss curve and picture."""

    numbers: dict[str, float]
    losses: list[float]
    picture: np.ndarray  # (H, W, 3), uint8


class Repainting(keras.layers.Layer):
    """Adds the trained image to a photograph: (1, H, W, 3) -> (1, H, W, 3) in (0, 255).

    The trained image is the sum of a pyramid's levels, each of half the height and width of the one
    before. Trained single pixels turn into noise that only a network sees; with the pyramid, one
    step changes a whole sky. A sigmoid keeps the result in range.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = np.random.default_rng(seed)

    def build(self, shape: tuple[int, int, int, int]) -> None:
        _, self.height, self.width, _ = shape
        for level in range(LEVELS):
            sides = (n // 2**level for n in (self.height, self.width))
            weight = self.add_weight((1, *sides, 3), "zeros", name=f"level{level}")
            weight.assign(self.random.normal(0, NOISE, weight.shape))

    def call(self, image: Any) -> Any:
        share = ops.clip(image / 255, DARKEST, BRIGHTEST)
        x = ops.log(share / (1 - share))
        for level in self.weights:
            x += ops.image.resize(level, (self.height, self.width))
        return 255 * ops.sigmoid(x)


def normalized(pixels: Any, convention: str) -> Any:
    """Preprocesses RGB pixels (N, H, W, 3) in [0, 255] for the weights.

    CIFAR-10's mean is an image of 32x32 pixels; other sizes take its mean by channel.
    """
    means = CONVENTIONS[convention].means
    if means.shape[:2] == (1, 1):
        return keras_resnet.preprocess_input(pixels, convention)
    return pixels - means.mean(axis=(0, 1))


def gram(maps: Any) -> Any:
    """Returns the mean over all positions of every two channels' product: (N, C, C)."""
    _, height, width, _ = maps.shape
    return ops.einsum("nhwc,nhwd->ncd", maps, maps) / (height * width)


def viewer(architecture: Architecture, shape: tuple[int, int, int]) -> keras.Model:
    """Builds a frozen model of what a network sees in images (N, H, W, 3) in [0, 255].

    Returns:
        A model whose outputs are the style and, last, the content. The style is the Gram matrices
        (N, C, C) of the network's input and of its maps after the stem and each block, the
        content the map (N, H', W', C) of the last stage but one.
    """
    row, *_ = keras_resnet.weights.list_published(architecture.name)
    net = keras_resnet.backbone(architecture, row.name, shape)
    ends = ("conv1_relu", "_out")
    maps = [layer.output for layer in net.layers if layer.name.endswith(ends)]
    content = net.output[f"C{len(architecture.blocks)}"]
    inside = keras.Model(net.input, [net.input, *maps, content])
    pixels = keras.Input(shape)
    *maps, content = inside(normalized(pixels, row.preprocessing))
    model = keras.Model(pixels, [*map(gram, maps), content])
    model.trainable = False
    return model


def paint(
    architecture: Architecture,
    content: np.ndarray,
    style: np.ndarray,
    seed: int,
    steps: int,
    content_weight: float = CONTENT_WEIGHT,
) -> Outcome:
    """Repaints `content` (H, W, 3) in the style of `style`, which has the same size."""
    model = viewer(architecture, content.shape)
    contents, styles = (_seen(model, photograph) for photograph in (content, style))
    targets = [*styles[:-1], contents[-1]]
    # The unit of each distance is the distance between the two photographs.
    units = _errors(contents, styles)
    if not all(units):
        raise ValueError("Content and style are the same picture: there is nothing to repaint.")
    *grams, last = units
    weights = [1 / len(grams) / unit for unit in grams] + [content_weight / last]

    photograph = keras.Input(content.shape)
    repainted = Repainting(seed)(photograph)
    painter = keras.Model(photograph, model(repainted))
    optimizer = common.adam(LEARNING_RATE, steps)
    painter.compile(optimizer, ["mse"] * len(targets), loss_weights=weights)
    endless = tf.data.Dataset.from_tensors((content[None], tuple(targets))).repeat()
    with common.Stopwatch() as watch:
        losses = common.fit(painter, endless, steps, architecture.name)

    (values,) = ops.convert_to_numpy(keras.Model(photograph, repainted)(content[None]))
    picture = np.rint(values).astype("uint8")
    errors = _errors(_seen(model, picture.astype("float32")), targets)
    *own, last = (100 * error / unit for error, unit in zip(errors, units, strict=True))
    numbers = {
        "style, own features, %": float(np.mean(own)),
        "style, patches, %": _per_cent(picture_distances.patches, picture, style, content),
        "content, own features, %": last,
        "content, edges, %": _per_cent(picture_distances.edges, picture, content, style),
        "seconds": watch.seconds,
    }
    return Outcome(numbers, losses, picture)


def _seen(model: keras.Model, picture: np.ndarray) -> list[np.ndarray]:
    return [ops.convert_to_numpy(output) for output in model(picture[None])]


def _errors(seen: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> list[float]:
    return [float(np.mean((a - b) ** 2)) for a, b in zip(seen, targets, strict=True)]


def _per_cent(
    distance: Callable[[np.ndarray, np.ndarray], float],
    picture: np.ndarray,
    goal: np.ndarray,
    other: np.ndarray,
) -> float:
    """Returns the distance to the goal in per cent of the other photograph's distance."""
    return 100 * distance(picture, goal) / distance(other, goal)


def photographs(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Reads content and style as float32 (H, W, 3); the longer side is `size`.

    The style is cropped to the shape of the content.

    Raises:
        ValueError: If a file is missing or is no picture, or a side would be too short.
    """
    first = _picture(options.content, "china.jpg")
    scale = options.size / max(first.size)
    width, height = (round(scale * side) for side in first.size)
    if min(width, height) < SMALLEST:
        raise ValueError(
            f"The content would be {width}x{height} pixels; the shorter side needs {SMALLEST}: "
            "give a larger --size."
        )
    content, style = (
        np.asarray(ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS), "float32")
        for picture in (first, _picture(options.style, "flower.jpg"))
    )
    return content, style


def _picture(file: Path | None, default: str) -> Image.Image:
    """Reads a file's picture upright; by default one of scikit-learn's two photographs."""
    if file is None:
        return Image.fromarray(load_sample_image(default))
    try:
        with Image.open(file) as picture:
            return ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file} cannot be read as a picture: {error}") from error


def draw(
    outcomes: Mapping[str, Outcome], content: np.ndarray, style: np.ndarray, steps: int
) -> Figure:
    """Draws content, style, each net's picture, and the losses."""
    figure = Figure(figsize=(10, 5.2), layout="constrained")
    grid = figure.add_gridspec(2, 3, width_ratios=(4, 4, 3))
    pictures = {
        "content": content.astype("uint8"),
        "style": style.astype("uint8"),
        **{f"{net} net": outcome.picture for net, outcome in outcomes.items()},
    }
    for place, (title, picture) in enumerate(pictures.items()):
        axes = figure.add_subplot(grid[place % 2, place // 2])
        axes.imshow(picture)
        axes.set(title=title, xticks=[], yticks=[])
    losses = {net: outcome.losses for net, outcome in outcomes.items()}
    common.draw_losses(figure.add_subplot(grid[:, 2]), losses, steps, title="painting")
    return figure


def nets(network: str) -> dict[str, Architecture]:
    """Returns the residual net and, if it has published weights too, its plain twin."""
    names = {"residual": network, "plain": network.replace("resnet", "plain")}
    published = {one.network for one in keras_resnet.weights.list_published()}
    return {
        net: keras_resnet.ARCHITECTURES[name] for net, name in names.items() if name in published
    }


def run(options: argparse.Namespace) -> None:
    if options.content_weight < 0:
        raise ValueError(f"--content-weight is at least 0; given {options.content_weight}.")
    content, style = photographs(options)
    compared = nets(options.network)
    if len(compared) == 1:
        print(f"The plain twin of {options.network} is left out: it has no published weights.")
    comparison = common.compare(
        lambda net, seed: paint(net, content, style, seed, options.steps, options.content_weight),
        compared,
        options.seeds,
    )
    for net, outcome in comparison.first.items():
        Image.fromarray(outcome.picture).save(options.out / f"{net}.png")
    height, width, _ = content.shape
    title = f"{width}x{height} pixels repainted in {options.steps} steps by {options.network}"
    figure = draw(comparison.first, content, style, options.steps)
    common.finish(options, title, comparison.numbers, figure)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--content",
        type=Path,
        metavar="FILE",
        help="the photograph to repaint (default: scikit-learn's china.jpg)",
    )
    parser.add_argument(
        "--style",
        type=Path,
        metavar="FILE",
        help="the photograph that gives the style (default: scikit-learn's flower.jpg)",
    )
    parser.add_argument(
        "--size",
        type=numeric.positive,
        default=320,
        help="the longer side of the picture, in pixels",
    )
    parser.add_argument(
        "--content-weight",
        type=float,
        default=CONTENT_WEIGHT,
        metavar="WEIGHT",
        help="the weight of the content's distance in the loss; the style's has weight 1",
    )
    parser.add_argument(
        "--network",
        choices=NETWORKS,
        default="resnet20",
        help="the network, with its published weights; resnet20's come with the package",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    return common.main("style", SUMMARY, STEPS, run, add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())
