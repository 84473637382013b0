"""`python -m examples.segmentation`: DeepLabV3+ by KerasHub on a dilated residual and plain net."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import keras_hub
import numpy as np
import tensorflow as tf
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

import keras_resnet
from examples import common, detection, shapes
from keras_resnet import Architecture

SUMMARY = "Class of every pixel by KerasHub's DeepLabV3+, on a residual net and its plain twin."
STEPS = 600
BATCH = 8
CLASSES = (*shapes.CLASSES, "background")
NET = Architecture("resnet26", "imagenet", "basic", (3, 3, 3, 3), (16, 32, 48, 64), "B")
OUTPUT_STRIDE = 16  # conv5_x dilates: arXiv 1706.05587, section 3.1
LEVELS = ("P2", "P4")  # of the backbone: strides 4 and 16
COLOURS = ListedColormap([*detection.COLOURS, "#ffffff"])


@dataclass(frozen=True)
class Outcome:
    numbers: dict[str, float]
    losses: list[float]
    masks: np.ndarray  # (scenes, H, W), classes of the test scenes' pixels


def segmenter(architecture: Architecture, size: int) -> keras.Model:
    """Images (N, size, size, 3) -> logits (N, size, size, classes), compiled."""
    low, high = LEVELS
    pyramid = keras_hub.models.DeepLabV3Backbone(
        image_encoder=keras_resnet.backbone(architecture, output_stride=OUTPUT_STRIDE),
        spatial_pyramid_pooling_key=high,
        low_level_feature_key=low,
        upsampling_size=OUTPUT_STRIDE // 4,
        projection_filters=16,
        dilation_rates=[2, 4],
        image_shape=(size, size, 3),
    )
    model = keras_hub.models.DeepLabV3ImageSegmenter(pyramid, num_classes=len(CLASSES))
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[],
    )
    return model


def batches(scenes: Sequence[shapes.Scene], seed: int) -> tf.data.Dataset:
    """Shuffled, without end: (BATCH, H, W, 3), (BATCH, H, W)."""
    images = shapes.normalized([scene.image for scene in scenes])
    masks = np.stack([scene.mask for scene in scenes])
    data = tf.data.Dataset.from_tensor_slices((images, masks))
    return data.shuffle(len(images), seed=seed).repeat().batch(BATCH)


def measures(truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Of masks (N, H, W) together, in per cent, as PASCAL VOC counts: over all images at once."""
    metric = keras.metrics.MeanIoU(len(CLASSES))
    metric.update_state(truth, found)
    return {
        "mean IoU, %": 100 * float(metric.result()),
        "pixels right, %": 100 * float(np.mean(truth == found)),
    }


def train(
    architecture: Architecture,
    seed: int,
    steps: int,
    training: Sequence[shapes.Scene],
    test: Sequence[shapes.Scene],
) -> Outcome:
    model = segmenter(architecture, test[0].image.shape[0])
    with common.Stopwatch() as watch:
        losses = common.fit(model, batches(training, seed), steps, architecture.name)
    images = shapes.normalized([scene.image for scene in test])
    found = model.predict(images, batch_size=10, verbose=0).argmax(axis=-1)
    numbers = measures(np.stack([scene.mask for scene in test]), found)
    return Outcome(numbers | {"training, seconds": watch.seconds}, losses, found)


def figure(outcomes: dict[str, list[Outcome]], test: Sequence[shapes.Scene], steps: int) -> Figure:
    """Each net's loss, and the masks of the first test scenes; the first seed's."""
    drawn = Figure(figsize=(11, 4.4), layout="constrained")
    grid = drawn.add_gridspec(2 + len(outcomes), 8)
    losses = drawn.add_subplot(grid[:, :3])
    rows = {"image": [s.image for s in test], "truth": [s.mask for s in test]}
    for net, (first, *_) in outcomes.items():
        points = np.linspace(steps / len(first.losses), steps, len(first.losses))
        losses.plot(points, first.losses, label=net)
        rows[net] = list(first.masks)
    losses.set(xlabel="step", ylabel="training loss", yscale="log")
    losses.grid(alpha=0.25)
    losses.legend()
    for row, (title, pictures) in enumerate(rows.items()):
        for column in range(5):
            axes = drawn.add_subplot(grid[row, 3 + column])
            axes.imshow(pictures[column], COLOURS, vmin=0, vmax=len(CLASSES) - 1)
            axes.set(xticks=[], yticks=[])
            if column == 0:
                axes.set_ylabel(title)
    return drawn


def run(options: argparse.Namespace) -> None:
    training, test = detection.data(options)
    outcomes = common.compare(
        lambda net, seed: train(net, seed, options.steps, training, test),
        common.twins(NET),
        options.seeds,
    )
    numbers = {net: [outcome.numbers for outcome in runs] for net, runs in outcomes.items()}
    title = f"DeepLabV3+ on shapes, {options.steps} steps of {BATCH} images"
    common.finish(options, title, numbers, figure(outcomes, test, options.steps))


def main(arguments: Sequence[str] | None = None) -> int:
    return common.main("segmentation", SUMMARY, STEPS, run, detection.add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())
