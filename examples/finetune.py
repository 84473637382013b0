"""`python -m examples.finetune`: five ways to new classes from few images, compared.

Each way is a recipe, and each training a run of `python -m training train --weights`, which takes
the best of these ways by itself.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

import keras_resnet
from examples import common, stickers
from keras_resnet import ARCHITECTURES, Architecture
from keras_resnet.weights import PublishedWeights
from training.common import figures, numeric
from training.common.files import write_csv, write_text
from training.config import recipes
from training.config.jobs import Job
from training.data import datasets
from training.data.folder import split_file
from training.data.splits import Dataset, subset
from training.models.opened_model import opened_model
from training.trainer import backends
from training.trainer.backends.backend import Images
from training.trainer.train import train

SUMMARY = (
    "Fine-tune a net with published weights, and its plain twin, on a folder of class folders of "
    "images, in five ways. Without --images the nets learn shapes on pieces of photographs."
)
STEPS = 400
BATCH = 4
LABELLED = 10  # images of each shape that train
ROWS, COLUMNS = 4, 6  # of test images in the picture
WRONG = "#d97706"  # answers


@dataclass(frozen=True)
class Way:
    """How a net with a new top is trained."""

    changes: Mapping[str, Any]  # of the recipe `finetune`
    pretrained: bool = True  # whether it starts from published weights
    line: str = ""  # the style of its curve in the figure; empty: not drawn


SCRATCH, FROZEN, TUNED = "from scratch", "frozen", "frozen, then unfrozen"
# Half the recipe's rate, at which batches of 4 lost what the weights know in 8 of 12 runs.
TRAINED = {"learning_rate": 0.005}
TOP_FIRST = {**TRAINED, "top_fraction": 0.5}
WAYS: Mapping[str, Way] = {
    SCRATCH: Way(
        {"top_fraction": 0.0, "freeze": (), "learning_rate": 0.05}, pretrained=False, line=":"
    ),
    FROZEN: Way({"top_fraction": 1.0}, line="--"),
    "unfrozen at once": Way({**TRAINED, "top_fraction": 0.0}),
    TUNED: Way(TOP_FIRST, line="-"),
    f"{TUNED} with batch norm": Way({**TOP_FIRST, "freeze": ()}),
}


@dataclass(frozen=True, eq=False)
class Outcome:
    """One net's measures; of each way the test errors (step, %) and the run's directory."""

    numbers: dict[str, float]
    curves: dict[str, list[tuple[float, float]]]
    runs: dict[str, Path]


def split(root: Path, labelled: int | None, seed: int, path: Path) -> Path | None:
    """Writes which images train and which test, drawn by the seed, to `path`.

    Args:
        root: The folder of class folders.
        labelled: So many of each class train. Default: the folder's own division; no file then.
        seed: Of the draw.
        path: The split file.

    Raises:
        ValueError: If that leaves a class without images to train on or to test.
    """
    if labelled is None:
        return None
    images = split_file.rows(datasets.load("folder", str(root)))
    random = np.random.default_rng(seed)
    rows = []
    for name in sorted({image.class_name for image in images}):
        files = sorted(image.file for image in images if image.class_name == name)
        if not 0 < labelled < len(files):
            raise ValueError(
                f"The class {name} has {len(files)} images, so that {labelled} of them cannot "
                "train and the others test: give --labelled another number."
            )
        roles = np.full(len(files), "test", object)
        roles[random.permutation(len(files))[:labelled]] = "train"
        rows += [(file, name, role) for file, role in zip(files, roles, strict=True)]
    write_csv(path, [split_file.REQUIRED, *rows])
    return path


def job(network: str, weights: str, way: Way, steps: int, seed: int, **data: str | None) -> Job:
    """Returns the run of one net on one way."""
    recipe = replace(
        recipes.load("finetune"),
        iterations=steps,
        batch_size=BATCH,
        held_out=0,
        early_stopping=None,
        augmentation="none",
        **way.changes,
    )
    source = weights if way.pretrained else None
    return Job(network, "folder", recipe, seed, weights=source, **data)


def compare_ways(
    network: str, weights: str, steps: int, seed: int, directory: Path, **data: str | None
) -> Outcome:
    """Trains one net on every way; a run that is there already is continued, or taken as it is."""
    curves, numbers, runs = {}, {}, {}
    with common.Stopwatch() as watch:
        for name, way in WAYS.items():
            keras.backend.clear_session()
            runs[name] = directory / f"{network}-{name.replace(', ', '-').replace(' ', '-')}-{seed}"
            outcome = train(job(network, weights, way, steps, seed, **data), runs[name])
            curves[name] = [(row["step"], row["val_error"]) for row in outcome.rows]
            numbers[f"{name}, error, %"] = outcome.test_error
    return Outcome(numbers | {"seconds": watch.seconds}, curves, runs)


def twins(published: PublishedWeights) -> dict[str, Architecture]:
    """Returns the net of these weights, and its plain twin where that has such weights too."""
    nets = {"residual": ARCHITECTURES[published.network]}
    plain = published.network.replace("resnet", "plain")
    listed = keras_resnet.weights.list_published()
    if any((twin.network, twin.name) == (plain, published.name) for twin in listed):
        nets["plain"] = ARCHITECTURES[plain]
    else:
        print(
            f"The plain twin of {published.network} is left out: it has no published weights "
            f"{published.name!r}."
        )
    return nets


def draw(outcomes: Mapping[str, Outcome], dataset: Dataset) -> Figure:
    """Draws the test errors over the steps; test images with the residual net's answers."""
    figure = Figure(figsize=(11.5, 4.8), layout="constrained")
    left, right = figure.subfigures(1, 2)
    _draw_curves(left.subplots(), outcomes)
    _draw_answers(right, outcomes["residual"].runs[TUNED], dataset)
    return figure


def _draw_curves(axes: Axes, outcomes: Mapping[str, Outcome]) -> None:
    for net, outcome in outcomes.items():
        colour = common.COLOURS[net]
        for name, curve in outcome.curves.items():
            if line := WAYS[name].line:
                steps, errors = zip(*curve, strict=True)
                axes.plot(steps, errors, line, color=colour, label=f"{net}, {name}")
    figures.finish_axes(axes, title="test error", xlabel="step", ylabel="%", ylim=(0, None))


def _draw_answers(figure: SubFigure, run: Path, dataset: Dataset) -> None:
    figure.suptitle("the residual net's answers, wrong ones in brackets and orange")
    model = opened_model(run / "model.keras")
    chosen = np.random.default_rng(0).permutation(dataset.test.examples)[: ROWS * COLUMNS]
    test = subset(dataset.test, np.isin(np.arange(dataset.test.examples), chosen))
    images = Images(test, model.input_shape[1])
    (pixels, labels), *_ = backends.running().evaluation_input(images, len(test.labels))
    answers = keras.ops.convert_to_numpy(model(pixels, training=False)).argmax(axis=-1)
    grid = figure.subplots(ROWS, COLUMNS).flat
    for axes, image, answer, label in zip(grid, pixels, answers, labels, strict=False):
        axes.imshow(np.asarray(image) / 255)
        name, right = dataset.class_names[answer], bool(answer == label)
        title = name if right else f"[{name}]"
        axes.set_title(title, fontsize=8, color="black" if right else WRONG)
    for axes in figure.axes:
        axes.set_axis_off()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="learn from your own images, a folder for each class in DIR",
    )
    parser.add_argument(
        "--labelled",
        type=numeric.positive,
        metavar="N",
        help="train with N images of each class and test with the others (default: "
        f"{LABELLED}; with --images, the division of `python -m training train`)",
    )
    networks = {published.network for published in keras_resnet.weights.list_published()}
    parser.add_argument(
        "--network",
        choices=sorted(name for name in networks if ARCHITECTURES[name].residual),
        default="resnet20",
        help="the network, with its published weights; resnet20's come with the package",
    )


def run(options: argparse.Namespace) -> None:
    root, labelled, out = options.images, options.labelled, options.out
    if root is None:
        root, labelled = out / "stickers", LABELLED if labelled is None else labelled
        stickers.write(root)
    published = keras_resnet.weights.list_published(options.network)[0]
    splits = {
        seed: split(root, labelled, seed, out / f"split-{seed}.csv") for seed in options.seeds
    }

    def compared(architecture: Architecture, seed: int) -> Outcome:
        data = {"data_dir": str(root), "split": splits[seed] and str(splits[seed])}
        return compare_ways(
            architecture.name, published.name, options.steps, seed, out / "runs", **data
        )

    comparison = common.compare(compared, twins(published), options.seeds)
    first = comparison.first
    dataset = datasets.load("folder", str(root), split_file=splits[options.seeds[0]])
    shutil.copy(first["residual"].runs[TUNED] / "model.keras", out / "model.keras")
    write_text(out / "labels.txt", "\n".join(dataset.class_names) + "\n")
    title = (
        f"Test error: {len(dataset.class_names)} classes, {dataset.train.examples} images to train "
        f"on, {dataset.test.examples} to test"
    )
    common.finish(options, title, comparison.numbers, draw(first, dataset))
    print(f"fine-tuned {options.network}: {out / 'model.keras'}, {out / 'labels.txt'}")


def main(arguments: Sequence[str] | None = None) -> int:
    return common.main("finetune", SUMMARY, STEPS, run, add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())
