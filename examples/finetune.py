"""`python -m examples.finetune`: a net with published weights learns new classes from few images.

First the network is frozen and only its new top trains; then the network does too, at a tenth of
the rate, except for its batch norms: they keep the moving statistics of the many images that the
weights are from.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

import keras_resnet
from examples import common, image_folder, stickers
from keras_resnet import Architecture
from keras_resnet.architectures import ARCHITECTURES, STEMS
from keras_resnet.weights import PublishedWeights
from training.common.files import atomic_write

SUMMARY = (
    "Fine-tunes a net with published weights, and its plain twin, on a folder of class folders of "
    "images: frozen first, then unfrozen. Without --images it learns shapes stuck on photographs."
)
STEPS = 400
BATCH, TEST_BATCH = 4, 64
LABELLED = 10  # images of each shape that train
EVERY = 4  # of the points of `common.fit`, the test error is measured at every fourth
MODEL, LABELS = "model.keras", "labels.txt"
ROWS, COLUMNS = 4, 6  # of test images in the picture
WRONG = "#d97706"  # answers


@dataclass(frozen=True)
class Phase:
    """A part of a training with the same layers frozen; the top never is."""

    share: float  # of the steps
    rate: float  # Adam's, falling to 0 along a cosine
    network: bool = True  # trains, its batch norms apart
    batch_norm: bool = False  # trains too, and uses each batch's statistics


@dataclass(frozen=True)
class Way:
    """From a new top to a trained net."""

    phases: tuple[Phase, ...]
    pretrained: bool = True
    line: str = ""  # its style in the picture, if it is in there


SCRATCH, FROZEN, TUNED = "from scratch", "frozen", "frozen, then unfrozen"
HEAD = Phase(0.5, rate=1e-2, network=False)
WAYS = {
    SCRATCH: Way((Phase(1.0, rate=1e-3, batch_norm=True),), pretrained=False, line=":"),
    FROZEN: Way((Phase(1.0, rate=1e-2, network=False),), line="--"),
    "unfrozen at once": Way((Phase(1.0, rate=1e-3),)),
    TUNED: Way((HEAD, Phase(0.5, rate=1e-3)), line="-"),
    f"{TUNED} with batch norm": Way((HEAD, Phase(0.5, rate=1e-3, batch_norm=True))),
}


@dataclass(frozen=True, eq=False)
class Data:
    """Images at the network's size, and which of them train."""

    classes: tuple[str, ...]
    pixels: np.ndarray  # uint8 (images, S, S, 3)
    labels: np.ndarray  # (images,)
    training: np.ndarray  # bool (images,); the others test


@dataclass(frozen=True, eq=False)
class Outcome:
    """One net's measures, the test errors (step, %) on each way, and the net fine-tuned."""

    numbers: dict[str, float]
    curves: dict[str, list[tuple[int, float]]]
    model: keras.Model


def build(
    architecture: Architecture, row: PublishedWeights, pretrained: bool, classes: int
) -> keras.Model:
    """Raw pixels 0..255 (N, S, S, 3) -> probabilities (N, classes), by a new top."""
    size = STEMS[architecture.stem].image_size
    pixels = keras.Input((size, size, 3), name="pixels")
    network = keras_resnet.ResNet(
        architecture,
        include_top=False,
        weights=row.name if pretrained else None,
        input_tensor=keras_resnet.preprocess_input(pixels, row.preprocessing),
        pooling="avg",
    )
    top = keras.layers.Dense(classes, activation="softmax", name="predictions")
    return keras.Model(pixels, top(network.output), name=architecture.name)


def prepare(model: keras.Model, architecture: Architecture, phase: Phase, steps: int) -> None:
    """Freezes what does not train in the phase, and compiles, or it would go on as before."""
    every_stage = len(architecture.blocks) + 1  # conv1 is the first
    keras_resnet.freeze(
        model, stages=0 if phase.network else every_stage, batch_norm=not phase.batch_norm
    )
    rate = keras.optimizers.schedules.CosineDecay(phase.rate, decay_steps=steps)
    model.compile(keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy")


def answers(model: keras.Model, data: Data) -> np.ndarray:
    """The classes that the test images are taken for: (test images,)."""
    test = data.pixels[~data.training]
    parts = [test[i : i + TEST_BATCH] for i in range(0, len(test), TEST_BATCH)]
    # Not `predict`, which would be traced anew after every `compile`.
    return np.concatenate([np.argmax(model(part, training=False), axis=-1) for part in parts])


def error(model: keras.Model, data: Data) -> float:
    """In per cent of the test images."""
    return 100 * float(np.mean(answers(model, data) != data.labels[~data.training]))


class _Curve(keras.callbacks.Callback):
    """Adds test errors to a curve, the last one when the training ends."""

    def __init__(self, curve: list[tuple[int, float]], data: Data) -> None:
        super().__init__()
        self.curve, self.data, self.start = curve, data, curve[-1][0]

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        point = epoch + 1
        if point % EVERY == 0 or point == self.params["epochs"]:
            step = self.start + point * self.params["steps"]
            self.curve.append((step, error(self.model, self.data)))


def train(
    architecture: Architecture, row: PublishedWeights, way: Way, data: Data, seed: int, steps: int
) -> tuple[keras.Model, list[tuple[int, float]]]:
    """The net trained, and its test errors (step, %) on the way."""
    keras.utils.set_random_seed(seed)
    model = build(architecture, row, way.pretrained, len(data.classes))
    curve = [(0, error(model, data))]
    pixels, labels = data.pixels[data.training], data.labels[data.training]
    for phase in way.phases:
        part = max(1, round(phase.share * steps))
        prepare(model, architecture, phase, part)
        batches = common.batches(pixels, labels, BATCH, seed)
        common.fit(model, batches, part, architecture.name, [_Curve(curve, data)])
    return model, curve


def compare_ways(
    architecture: Architecture, row: PublishedWeights, data: Data, seed: int, steps: int
) -> Outcome:
    """One net, trained on every way."""
    curves = {}
    with common.Stopwatch() as watch:
        for name, way in WAYS.items():
            model, curves[name] = train(architecture, row, way, data, seed, steps)
            if name == TUNED:
                tuned = model
    numbers = {f"{name}, error, %": curve[-1][1] for name, curve in curves.items()}
    return Outcome(numbers | {"seconds": watch.seconds}, curves, tuned)


def twins(row: PublishedWeights) -> dict[str, Architecture]:
    """The net of these weights, and its plain twin where that has such weights too."""
    nets = {"residual": ARCHITECTURES[row.network]}
    plain = row.network.replace("resnet", "plain")
    published = keras_resnet.weights.list_published()
    if any((twin.network, twin.name) == (plain, row.name) for twin in published):
        nets["plain"] = ARCHITECTURES[plain]
    else:
        print(f"{row.network} alone: no weights {row.name!r} are published of a plain twin.")
    return nets


def draw(outcomes: Mapping[str, Outcome], data: Data) -> Figure:
    """Test errors over the steps; test images with what the residual net takes them for."""
    figure = Figure(figsize=(11.5, 4.8), layout="constrained")
    left, right = figure.subfigures(1, 2)
    _draw_curves(left.subplots(), outcomes)
    _draw_answers(right, answers(outcomes["residual"].model, data), data)
    return figure


def _draw_curves(axes: Axes, outcomes: Mapping[str, Outcome]) -> None:
    for net, outcome in outcomes.items():
        for name, curve in outcome.curves.items():
            if line := WAYS[name].line:
                steps, errors = zip(*curve, strict=True)
                colour = common.NET_COLOURS[net]
                axes.plot(steps, errors, line, color=colour, label=f"{net}, {name}")
    axes.set(title="test error", xlabel="step", ylabel="%")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)


def _draw_answers(figure: SubFigure, found: np.ndarray, data: Data) -> None:
    figure.suptitle("the residual net's answers, wrong ones in orange")
    pixels, labels = data.pixels[~data.training], data.labels[~data.training]
    drawn = np.random.default_rng(0).permutation(len(labels))
    for axes, i in zip(figure.subplots(ROWS, COLUMNS).flat, drawn, strict=False):
        axes.imshow(pixels[i])
        colour = "black" if found[i] == labels[i] else WRONG
        axes.set_title(data.classes[found[i]], fontsize=8, color=colour)
        axes.set_axis_off()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="your own folder with a folder of .jpg, .jpeg or .png files for each class",
    )
    parser.add_argument(
        "--labelled",
        type=int,
        metavar="N",
        help=f"images of each class that train, the others test; by default {LABELLED}, and four "
        "fifths of your own",
    )
    networks = {row.network for row in keras_resnet.weights.list_published()}
    parser.add_argument(
        "--network",
        choices=sorted(name for name in networks if ARCHITECTURES[name].residual),
        default="resnet20",
        help="the network, with its published weights; resnet20's come with the package",
    )


def run(options: argparse.Namespace) -> None:
    root, labelled = options.images, options.labelled
    if root is None:
        root, labelled = options.out / "stickers", LABELLED if labelled is None else labelled
        stickers.write(root)
    folder = image_folder.find(root)
    row = keras_resnet.weights.list_published(options.network)[0]
    pixels = image_folder.read(folder.files, STEMS[ARCHITECTURES[row.network].stem].image_size)

    def data(seed: int) -> Data:
        training = image_folder.split(folder, labelled, seed)
        return Data(folder.classes, pixels, folder.files.labels, training)

    outcomes = common.compare(
        lambda net, seed: compare_ways(net, row, data(seed), seed, options.steps),
        twins(row),
        options.seeds,
    )
    numbers = {net: [outcome.numbers for outcome in runs] for net, runs in outcomes.items()}
    first = {net: runs[0] for net, runs in outcomes.items()}
    shown = data(options.seeds[0])
    with atomic_write(options.out / MODEL) as temporary:
        first["residual"].model.save(temporary)
    (options.out / LABELS).write_text("\n".join(folder.classes) + "\n", encoding="utf-8")
    title = (
        f"Test error: {len(folder.classes)} classes, {shown.training.sum()} images to train on, "
        f"{(~shown.training).sum()} to test"
    )
    common.finish(options, title, numbers, draw(first, shown))
    print(f"fine-tuned {row.network}: {options.out / MODEL}, {options.out / LABELS}")


def main(arguments: Sequence[str] | None = None) -> int:
    return common.main("finetune", SUMMARY, STEPS, run, add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())
