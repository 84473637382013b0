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
from examples import common, detection, shapes
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
    """Each shape with some of what is around it, (shapes, CROP, CROP, 3), and its label."""
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
    """Compiled; with weights as the paper has it, batch norm fixed and conv1 and conv2_x frozen."""
    trained = weights is not None
    net = keras_resnet.backbone(
        architecture, weights, frozen_stages=2 * trained, frozen_batch_norm=trained
    )
    model = FasterRCNN(net, Config(len(shapes.CLASSES), size))
    model.compile(keras.optimizers.Adam(5e-4, global_clipnorm=10.0))
    return model


def batches(scenes: Sequence[shapes.Scene], seed: int) -> tf.data.Dataset:
    """Shuffled, without end: {"images": (BATCH, H, W, 3), "boxes": ..., "labels": ...}."""
    images, boxes, labels = shapes.padded(scenes)
    arrays = {"images": images, "boxes": boxes, "labels": labels}
    data = tf.data.Dataset.from_tensor_slices((arrays,))
    return data.shuffle(len(images), seed=seed).repeat().batch(BATCH)


def train(
    architecture: Architecture,
    seed: int,
    steps: int,
    training: Sequence[shapes.Scene],
    test: Sequence[shapes.Scene],
) -> detection.Outcome:
    with tempfile.TemporaryDirectory() as folder, common.Stopwatch() as watch:
        weights = Path(folder) / "classifier.weights.h5"
        pretrain(architecture, training, seed, steps // 2 or 1, weights)
        model = detector(architecture, test[0].image.shape[0], weights)
        losses = common.fit(model, batches(training, seed), steps, architecture.name)
    found = detection.detect(model, {"images": shapes.normalized([s.image for s in test])})
    numbers = measures(detection.true_boxes(test), found, len(shapes.CLASSES))
    return detection.Outcome(numbers | {"training, seconds": watch.seconds}, losses, found)


def run(options: argparse.Namespace) -> None:
    training, test = detection.data(options)
    outcomes = common.compare(
        lambda net, seed: train(net, seed, options.steps, training, test),
        common.twins(NET),
        options.seeds,
    )
    numbers = {net: [outcome.numbers for outcome in runs] for net, runs in outcomes.items()}
    title = f"Faster R-CNN on shapes, {options.steps} steps of {BATCH} images"
    common.finish(options, title, numbers, detection.figure(outcomes, test, options.steps))


def main(arguments: Sequence[str] | None = None) -> int:
    return common.main("faster_rcnn", SUMMARY, STEPS, run, detection.add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())
