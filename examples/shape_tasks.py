"""The scenes and the comparison of the examples on generated shapes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from examples import common, shapes
from examples.common import Outcome
from examples.shapes import Scenes
from keras_resnet import Architecture
from training.common import numeric

TRAINING_SCENES, TEST_SCENES = 600, 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which scenes are drawn."""
    parser.add_argument(
        "--backgrounds",
        type=Path,
        metavar="DIR",
        help="draw the shapes on photographs of this folder instead of random textures",
    )
    parser.add_argument(
        "--size",
        type=numeric.positive,
        default=96,
        help="the height and width of the images, in pixels",
    )


def scenes(options: argparse.Namespace) -> Scenes:
    """Draws training and test scenes; no background is in both, if there are two at least.

    Raises:
        ValueError: If some net of the examples cannot divide the size of the images.
        OSError: If the folder of backgrounds has no photographs.
    """
    if options.size < 48 or options.size % 16:
        raise ValueError(f"--size is a multiple of 16 from 48; given {options.size}.")
    pictures = shapes.photographs(options.backgrounds, options.size)
    make = partial(shapes.scenes, size=options.size)
    training = make(TRAINING_SCENES, seed=1, backgrounds=pictures[1::2] or pictures)
    return Scenes(list(training), list(make(TEST_SCENES, seed=2, backgrounds=pictures[::2])))


def compare(
    options: argparse.Namespace,
    net: Architecture,
    train: Callable[[Architecture, int, int, Scenes], Outcome],
    draw: Callable[[Mapping[str, Outcome], Scenes, int], Figure],
    title: str,
) -> None:
    """Trains a net and its plain twin on the scenes, and writes what they find."""
    drawn = scenes(options)
    comparison = common.compare(
        lambda architecture, seed: train(architecture, seed, options.steps, drawn),
        common.twins(net),
        options.seeds,
    )
    figure = draw(comparison.first, drawn, options.steps)
    common.finish(options, title, comparison.numbers, figure)
