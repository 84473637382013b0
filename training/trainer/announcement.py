"""The plan of a run, printed before its first step."""

from __future__ import annotations

import logging

from keras_resnet.weights import published
from training.common import machine
from training.data.folder import split_file
from training.data.splits import Dataset, FileSplit, listed
from training.trainer.run import Run

logger = logging.getLogger(__name__)

CLASSES = 40  # more are told in numbers only
FEW_IMAGES = 500  # of a class; CIFAR-10 has 5,000. With fewer, random weights learn little


def announce(run: Run) -> None:
    """Logs the classes and their images, the device, and how long the run will be."""
    if not run.backend.chief:
        return
    for line in (*_images(run), *_work(run)):
        logger.info(line)
    if copies := _copies(run.dataset):
        logger.warning(
            "%d of the %d test images are copies of training images: the test error is too low.",
            copies,
            run.dataset.test.examples,
        )
    counts = run.dataset.class_counts().get("train")
    photographs = run.dataset.image_shape is None
    if run.job.weights is None and photographs and counts is not None:
        mean = counts.mean()
        if mean < FEW_IMAGES:
            logger.warning(
                "On average only %.0f training images of a class: a network of random weights will "
                "learn little from them. Start from trained ones: --weights %s.",
                mean,
                " or ".join(one.name for one in published.of_network(run.architecture.name))
                or "FILE",
            )


def _images(run: Run) -> list[str]:
    """A table of the classes, the images of each role in a column."""
    counts = {role: values for role, values in run.dataset.class_counts().items()}
    splits = run.dataset.splits
    total = ", ".join(f"{split.examples:,} {role}" for role, split in splits.items())
    lines = [f"{run.job.dataset}: {len(run.dataset.class_names)} classes; images: {total}"]
    if run.dataset.image_shape is None and counts and len(run.dataset.class_names) <= CLASSES:
        width = max(map(len, run.dataset.class_names))
        lines.append("  ".join((" " * (width + 2), *(f"{role:>10}" for role in counts))))
        for number, name in enumerate(run.dataset.class_names):
            numbers = (f"{values[number]:>10,}" for values in counts.values())
            lines.append("  ".join((f"  {name:<{width}}", *numbers)))
    if run.skipped:
        lines.append(f"left out, since they cannot be decoded: {listed(run.skipped)}")
    return lines


def _copies(dataset: Dataset) -> int:
    """Counts the test images of a folder that are training images too, under other names."""
    if dataset.root is None or not isinstance(dataset.test, FileSplit):
        return 0
    if dataset.train.examples > split_file.MOST_COMPARED:
        return 0
    return split_file.trained_on(split_file.rows(dataset), dataset.test, dataset.root)


def _work(run: Run) -> list[str]:
    recipe, weights = run.recipe, run.job.weights
    epochs = run.total_steps / run.epoch_steps
    start = "random weights" if weights is None else f"the weights {weights}"
    lines = [
        f"{run.job.network} from {start}, {recipe.precision}, on "
        f"{machine.hardware(run.backend.accelerators())}",
        f"{run.total_steps:,} steps of {recipe.batch_size} images, {epochs:.4g} "
        f"epoch{'s' * (epochs != 1)}; every epoch is evaluated on "
        f"{run.evaluated.examples:,} {run.evaluated_role} images",
    ]
    if run.top_steps:
        # A frozen stage freezes those before it.
        parts = [
            part if part in ("batch_norm", "conv1") else f"conv1..{part}" for part in recipe.freeze
        ]
        frozen = listed(parts) or "nothing"
        lines.append(
            f"the first {run.top_steps:,} steps train the top alone; then all but {frozen}"
        )
    return lines
