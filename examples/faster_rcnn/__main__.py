"""`python -m examples.faster_rcnn`: the paper's detector on a residual and on a plain net."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

import keras_resnet
from examples import common, detection, shape_tasks, shapes
from examples.detection_metrics import measures
from examples.faster_rcnn.model import Config, FasterRCNN
from keras_resnet import Architecture

SUMMARY = (
    "Detect generated shapes with Faster R-CNN, as the paper used it: first trained to classify."
)
STEPS = 400
BATCH = 8
CROP = 64  # pixels of the images that the net first learns to classify
CROPS_BATCH = 32
NET = Architecture("resnet26", "imagenet", "basic", (3, 3, 3, 3), (16, 32, 64, 64), "B")


def crops(scenes: Sequence[shapes.Scene], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cuts out each shape with some of its surroundings: (shapes, CROP, CROP, 3), and labels."""
    random = np.random.default_rng(seed)
    images, labels = [], []
    for scene in scenes:
        for (y1, x1, y2, x2), label in zip(scene.boxes, scene.labels, strict=True):
            around = random.uniform(0, 0.4, 4) * max(y2 - y1, x2 - x1)
            corners = (x1 - around[0], y1 - around[1], x2 + around[2], y2 + around[3])
            picture = Image.fromarray(scene.image).crop(tuple(map(int, corners)))
            images.append(np.asarray(picture.resize((CROP, CROP), Image.Resampling.BILINEAR)))
            labels.append(label)
    return shapes.normalized(images), np.array(labels)


def pretrain(
    architecture: Architecture, scenes: Sequence[shapes.Scene], seed: int, steps: int, file: Path
) -> None:
    """Trains a classifier of single shapes and saves its weights."""
    classes = len(shapes.CLASSES)
    model = keras_resnet.ResNet(architecture, input_shape=(CROP, CROP, 3), classes=classes)
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    data = tf.data.Dataset.from_tensor_slices(crops(scenes, seed))
    endless = data.shuffle(len(data), seed=seed).repeat().batch(CROPS_BATCH)
    common.fit(model, endless, steps, f"{architecture.name}, classifier")
    model.save_weights(file)


def detector(architecture: Architecture, size: int, weights: Path | None) -> FasterRCNN:
    """Builds and compiles the detector.

    With weights, batch norm is fixed and conv1 and conv2_x are frozen, as in the paper.
    """
    trained = weights is not None
    net = keras_resnet.backbone(
        architecture, weights, frozen_stages=2 * trained, frozen_batch_norm=trained
    )
    model = FasterRCNN(net, Config(len(shapes.CLASSES), size))
    model.compile(keras.optimizers.Adam(5e-4, global_clipnorm=10.0))
    return model


def batches(scenes: Sequence[shapes.Scene], seed: int) -> tf.data.Dataset:
    """Returns endless shuffled batches: {"images": (N, H, W, 3), "boxes": ..., "labels": ...}."""
    images, boxes, labels = shapes.padded(scenes)
    arrays = {"images": images, "boxes": boxes, "labels": labels}
    data = tf.data.Dataset.from_tensor_slices((arrays,))
    return data.shuffle(len(images), seed=seed).repeat().batch(BATCH)


def train(
    architecture: Architecture, seed: int, steps: int, scenes: shapes.Scenes
) -> detection.Outcome:
    """Trains a classifier, then the detector that begins with it, and measures the detector."""
    with tempfile.TemporaryDirectory() as folder, common.Stopwatch() as watch:
        weights = Path(folder) / "classifier.weights.h5"
        pretrain(architecture, scenes.training, seed, steps // 2 or 1, weights)
        model = detector(architecture, scenes.size, weights)
        losses = common.fit(model, batches(scenes.training, seed), steps, architecture.name)
    images = shapes.normalized([scene.image for scene in scenes.test])
    found = detection.detect(model, {"images": images})
    numbers = measures(detection.true_boxes(scenes.test), found, len(shapes.CLASSES))
    return detection.Outcome(numbers | {"training, seconds": watch.seconds}, losses, found)


def run(options: argparse.Namespace) -> None:
    if (backend := keras.backend.backend()) != "tensorflow":
        raise ValueError(
            f"This detector crops and suppresses by TensorFlow's operations; given {backend}: set "
            "KERAS_BACKEND=tensorflow."
        )
    title = f"Faster R-CNN on shapes, {options.steps} steps of {BATCH} images"
    shape_tasks.compare(options, NET, train, detection.draw, title)


def main(arguments: Sequence[str] | None = None) -> int:
    return common.main("faster_rcnn", SUMMARY, STEPS, run, shape_tasks.add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())
