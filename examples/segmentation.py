"""`python -m examples.segmentation`: DeepLabV3+ by KerasHub on a dilated residual and plain net."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import keras_hub
import numpy as np
import tensorflow as tf
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

import keras_resnet
from examples import common, detection, shape_tasks, shapes
from keras_resnet import Architecture

SUMMARY = "Classify every pixel by KerasHub's DeepLabV3+ on a residual net and its plain twin."
STEPS = 600
BATCH = 8
CLASSES = (*shapes.CLASSES, "background")
NET = Architecture("resnet26", "imagenet", "basic", (3, 3, 3, 3), (16, 32, 48, 64), "B")
OUTPUT_STRIDE = 16  # conv5_x dilates: arXiv 1706.05587, section 3.1
LEVELS = ("P2", "P4")  # of the backbone: strides 4 and 16
CLASS_COLOURS = ListedColormap([*detection.CLASS_COLOURS, "#ffffff"])


@dataclass(frozen=True)
class Outcome:
    """A trained segmenter's measures, loss curve, and masks of the test scenes."""

    numbers: dict[str, float]
    losses: list[float]
    masks: np.ndarray  # (scenes, H, W), classes of the test scenes' pixels


def segmenter(architecture: Architecture, size: int) -> keras.Model:
    """Builds and compiles: images (N, size, size, 3) -> logits (N, size, size, classes)."""
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
    """Returns endless shuffled batches: images (N, H, W, 3), masks (N, H, W)."""
    images = shapes.normalized([scene.image for scene in scenes])
    masks = np.stack([scene.mask for scene in scenes])
    data = tf.data.Dataset.from_tensor_slices((images, masks))
    return data.shuffle(len(images), seed=seed).repeat().batch(BATCH)


def measures(truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Measures masks (N, H, W) in per cent, over all images at once as PASCAL VOC does."""
    metric = keras.metrics.MeanIoU(len(CLASSES))
    metric.update_state(truth, found)
    return {
        "mean IoU, %": 100 * float(metric.result()),
        "pixels right, %": 100 * float(np.mean(truth == found)),
    }


def train(architecture: Architecture, seed: int, steps: int, scenes: shapes.Scenes) -> Outcome:
    """Trains a segmenter and measures it on the test scenes."""
    model = segmenter(architecture, scenes.size)
    with common.Stopwatch() as watch:
        losses = common.fit(model, batches(scenes.training, seed), steps, architecture.name)
    images = shapes.normalized([scene.image for scene in scenes.test])
    found = model.predict(images, batch_size=10, verbose=0).argmax(axis=-1)
    numbers = measures(np.stack([scene.mask for scene in scenes.test]), found)
    return Outcome(numbers | {"training, seconds": watch.seconds}, losses, found)


def draw(outcomes: Mapping[str, Outcome], scenes: shapes.Scenes, steps: int) -> Figure:
    """Draws each net's loss, and the masks that it finds in the first test scenes."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    grid = figure.add_gridspec(2 + len(outcomes), 8)
    losses = {net: outcome.losses for net, outcome in outcomes.items()}
    logarithmic = {"yscale": "log", "ylim": None}
    common.draw_losses(figure.add_subplot(grid[:, :3]), losses, steps, **logarithmic)
    rows: dict[str, Sequence[np.ndarray]] = {
        "image": [scene.image for scene in scenes.test],
        "truth": [scene.mask for scene in scenes.test],
        **{net: list(outcome.masks) for net, outcome in outcomes.items()},
    }
    for row, (title, pictures) in enumerate(rows.items()):
        for column in range(5):
            axes = figure.add_subplot(grid[row, 3 + column])
            axes.imshow(pictures[column], CLASS_COLOURS, vmin=0, vmax=len(CLASSES) - 1)
            axes.set(xticks=[], yticks=[])
            if column == 0:
                axes.set_ylabel(title)
    return figure


def run(options: argparse.Namespace) -> None:
    title = f"DeepLabV3+ on shapes, {options.steps} steps of {BATCH} images"
    shape_tasks.compare(options, NET, train, draw, title)


def main(arguments: Sequence[str] | None = None) -> int:
    return common.main("segmentation", SUMMARY, STEPS, run, shape_tasks.add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())
