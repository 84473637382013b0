"""`python -m examples.detection`: RetinaNet by KerasHub on a residual and on a plain net."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import keras_hub
import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import keras_resnet
from examples import common, shape_tasks, shapes
from examples.detection_metrics import Boxes, measures
from keras_resnet import Architecture

SUMMARY = "Detect generated shapes with KerasHub's RetinaNet on a residual net and its plain twin."
STEPS = 600
BATCH = 8
LEVELS = (3, 4)  # strides 8 and 16
# conv1 to conv4_x, of which the last is as deep as the levels go.
NET = Architecture("resnet26", "imagenet", "basic", (4, 4, 4), (16, 32, 64), "B")
PRIOR = 0.01  # of each class at each anchor (Lin et al. 2017, arXiv 1708.02002, section 4.1)
CLASS_COLOURS = ("#3a6ea5", "#2a9d8f", "#d1495b")


@dataclass(frozen=True)
class Outcome:
    """A trained detector's measures, loss curve, and boxes in the test scenes."""

    numbers: dict[str, float]
    losses: list[float]
    found: list[Boxes]  # one for each test scene


def detector(architecture: Architecture, size: int) -> keras.Model:
    """Builds and compiles a RetinaNet for images (N, size, size, 3)."""
    lowest, highest = LEVELS
    pyramid = keras_hub.models.RetinaNetBackbone(
        image_encoder=keras_resnet.backbone(architecture),
        min_level=lowest,
        max_level=highest,
        use_p5=False,
        image_shape=(size, size, 3),
    )
    anchors = keras_hub.layers.AnchorGenerator(
        "yxyx",
        min_level=lowest,
        max_level=highest,
        num_scales=3,  # sides of 24, 30, 38 pixels at stride 8, twice that at 16
        aspect_ratios=[1.0],
        anchor_size=3.0,
    )
    model = keras_hub.models.RetinaNetObjectDetector(
        pyramid,
        num_classes=len(shapes.CLASSES),
        bounding_box_format="yxyx",
        anchor_generator=anchors,
        pre_logits_num_conv_layers=1,
        prediction_decoder=keras_hub.layers.NonMaxSuppression(
            "yxyx", from_logits=True, iou_threshold=0.5, confidence_threshold=0.05, max_detections=9
        ),
    )
    # KerasHub 0.32 gives the prior's bias to the boxes' head, four anchors off; it is the classes'.
    bias = model.box_head.prediction_layer.bias
    bias.assign(np.zeros(bias.shape))
    bias = model.classification_head.prediction_layer.bias
    bias.assign(np.full(bias.shape, -np.log((1 - PRIOR) / PRIOR)))
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3, global_clipnorm=1.0),
        box_loss=keras.losses.Huber(reduction="sum"),
        classification_loss=keras.losses.BinaryFocalCrossentropy(
            from_logits=True, apply_class_balancing=True, alpha=0.25, gamma=2.0, reduction="sum"
        ),
    )
    return model


def batches(scenes: Sequence[shapes.Scene], seed: int) -> tf.data.Dataset:
    """Returns endless shuffled batches: (N, H, W, 3), {"boxes": (N, MOST, 4), "labels": ...}."""
    images, boxes, labels = shapes.padded(scenes)
    data = tf.data.Dataset.from_tensor_slices((images, {"boxes": boxes, "labels": labels}))
    return data.shuffle(len(images), seed=seed).repeat().batch(BATCH)


def detect(model: keras.Model, images: Any) -> list[Boxes]:
    """Returns what the model finds in each image of its input, (N, H, W, 3) or a dict of it."""
    found = model.predict(images, batch_size=10, verbose=0)
    return [
        Boxes(boxes[:number], labels[:number], scores[:number])
        for boxes, labels, scores, number in zip(
            found["boxes"],
            found["labels"],
            found["confidence"],
            found["num_detections"],
            strict=True,
        )
    ]


def true_boxes(scenes: Sequence[shapes.Scene]) -> list[Boxes]:
    return [Boxes(scene.boxes, scene.labels) for scene in scenes]


def train(architecture: Architecture, seed: int, steps: int, scenes: shapes.Scenes) -> Outcome:
    """Trains a detector and measures it on the test scenes."""
    model = detector(architecture, scenes.size)
    with common.Stopwatch() as watch:
        losses = common.fit(model, batches(scenes.training, seed), steps, architecture.name)
    found = detect(model, shapes.normalized([scene.image for scene in scenes.test]))
    numbers = measures(true_boxes(scenes.test), found, len(shapes.CLASSES))
    return Outcome(numbers | {"training, seconds": watch.seconds}, losses, found)


def draw(outcomes: Mapping[str, Outcome], scenes: shapes.Scenes, steps: int) -> Figure:
    """Draws each net's loss, and the boxes that it finds in the first test scenes."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    grid = figure.add_gridspec(len(outcomes), 6)
    losses = {net: outcome.losses for net, outcome in outcomes.items()}
    logarithmic = {"yscale": "log", "ylim": None}
    common.draw_losses(figure.add_subplot(grid[:, :2]), losses, steps, **logarithmic)
    for row, (net, outcome) in enumerate(outcomes.items()):
        for column in range(4):
            axes = figure.add_subplot(grid[row, 2 + column])
            _draw_boxes(axes, scenes.test[column].image, outcome.found[column])
            if column == 0:
                axes.set_ylabel(net)
    return figure


def _draw_boxes(axes: Axes, image: np.ndarray, found: Boxes, least: float = 0.3) -> None:
    """Draws the image with its boxes of at least this score."""
    axes.imshow(image)
    axes.set(xticks=[], yticks=[])
    for (y1, x1, y2, x2), label, score in zip(found.boxes, found.labels, found.scores, strict=True):
        if score >= least:
            colour = CLASS_COLOURS[label]
            box = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=colour, linewidth=2)
            axes.add_patch(box)
            text = f"{shapes.CLASSES[label]} {score:.2f}"
            note = axes.text(x1, y1 - 2, text, fontsize=6, color="white", backgroundcolor=colour)
            note.set_in_layout(False)


def run(options: argparse.Namespace) -> None:
    title = f"RetinaNet on shapes, {options.steps} steps of {BATCH} images"
    shape_tasks.compare(options, NET, train, draw, title)


def main(arguments: Sequence[str] | None = None) -> int:
    return common.main("detection", SUMMARY, STEPS, run, shape_tasks.add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())
