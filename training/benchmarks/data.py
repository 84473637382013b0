"""Benchmarks the input: photographs decoded, scaled, cropped, mirrored; small images padded."""

from __future__ import annotations

import argparse
import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from training.benchmarks.report import Comparison, Goal
from training.benchmarks.timing import Contender
from training.common.errors import UsageError
from training.common.numeric import positive
from training.data.shares import WHOLE, Share

PEERS = "training.benchmarks.peers"
PILLOW = 1.0  # at least so many times its speed
WORKERS_GAIN = 0.8  # N processes: at least so many times N the speed of one
SMALL_IMAGES = 50_000.0  # per second, so that small images are never what a step waits for
BATCH, BATCHES = 32, 8  # photographs in a batch, batches in a repeat
CIFAR_BATCH, CIFAR_BATCHES = 128, 200
DRAWN = 16  # pictures, 384 x 576, where no folder is given


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("input")
    group.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="a folder of JPEG photographs (default: drawn pictures)",
    )
    group.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="also measure N processes that share each batch, each on a processor core of its own",
    )


def comparisons(options: argparse.Namespace) -> list[Comparison]:
    folder = options.images
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="benchmark-data-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        _draw(folder)
    given = {"folder": str(folder.resolve()), "batch": BATCH, "batches": BATCHES}
    ours = Contender("training's pipeline", f"{__name__}:photographs", given)
    pillow = Contender(
        "PyTorch DataLoader, Pillow",
        f"{PEERS}.pillow_loader:loading",
        given,
        ("torch", "PIL"),
    )
    small = Contender(
        "training's pipeline",
        f"{__name__}:small_images",
        {"batch": CIFAR_BATCH, "batches": CIFAR_BATCHES},
    )
    return [
        *_of_workers(options.workers, given),
        Comparison(
            "Photographs to random crops of 224 pixels",
            "images/s",
            (ours, pillow),
            (Goal("data-pillow", (ours.name,), PILLOW, (pillow.name,)),),
        ),
        Comparison(
            "32x32 images, padded, cropped and mirrored",
            "images/s",
            (small,),
            (Goal("data-cifar", (small.name,), 1.0, limit=SMALL_IMAGES),),
        ),
    ]


def _of_workers(workers: int | None, given: dict[str, Any]) -> list[Comparison]:
    """One process on one core against several, of which each decodes its share."""
    if workers is None:
        return []
    cores = len(os.sched_getaffinity(0))
    if not 2 <= workers <= cores:
        raise UsageError(
            f"--workers takes 2 to {cores}, a processor core for each; given {workers}."
        )
    title = "Photographs to random crops, a core for each process"
    contenders = tuple(
        Contender(
            f"{number} process{'es' if number > 1 else ''}",
            "training.benchmarks.data_workers:photographs",
            {**given, "workers": number},
        )
        for number in (1, workers)
    )
    one, several = contenders
    goal = Goal("data-workers", (several.name,), WORKERS_GAIN * workers, (one.name,))
    return [Comparison(title, "images/s", contenders, (goal,))]


def photographs(folder: str, batch: int, batches: int) -> Callable[[], float]:
    """Measures the images per second of the training stream."""
    return timed_batches(training_stream(folder, batch), batch, batches)


def training_stream(folder: str, batch: int, share: Share = WHOLE) -> Iterator[Any]:
    """Yields batches of (images, labels), with section 3.4's augmentation.

    Raises:
        ValueError: If the folder has no JPEG files.
        OSError: If a photograph cannot be read.
    """
    from training.data import pixel_mean
    from training.data.batches import train_batches
    from training.data.decoding.reading_errors import readable_errors
    from training.data.draws import Draws
    from training.data.splits import FileSplit

    paths = files(folder)
    split = FileSplit(paths, np.zeros(len(paths), np.int32))
    mean = pixel_mean.pixel_mean(split)
    draws = Draws(split.examples, batch, "imagenet", seed=0)
    with readable_errors("folder"):
        yield from train_batches(split, draws, mean=mean, share=share)


def small_images(batch: int, batches: int) -> Callable[[], float]:
    """Measures the images per second of the training stream of section 4.2."""
    from training.data import pixel_mean
    from training.data.batches import train_batches
    from training.data.draws import Draws
    from training.data.splits import ArraySplit

    images = np.random.default_rng(0).integers(0, 256, (50_000, 32, 32, 3), np.uint8)
    split = ArraySplit(images, np.zeros(len(images), np.int32))
    draws = Draws(split.examples, batch, "cifar", seed=0)
    stream = train_batches(split, draws, mean=pixel_mean.pixel_mean(split))
    return timed_batches(stream, batch, batches)


def files(folder: str) -> np.ndarray:
    """Returns the JPEG files of a folder and of the folders in it, sorted."""
    suffixes = (".jpg", ".jpeg")
    found = sorted(str(p) for p in Path(folder).rglob("*") if p.suffix.lower() in suffixes)
    if not found:
        raise ValueError(f"{folder} and its folders have no files {' or '.join(suffixes)}.")
    return np.array(found)


def timed_batches(stream: Iterable[Any], batch: int, batches: int) -> Callable[[], float]:
    """Measures the images per second of so many batches of a stream, after as many to warm up."""
    iterator = iter(stream)

    def repeat() -> float:
        began = time.perf_counter()
        for _ in range(batches):
            next(iterator)
        return batch * batches / (time.perf_counter() - began)

    repeat()
    return repeat


def _draw(folder: Path) -> None:
    from training.data.folder import sample_images

    for i, encoded in enumerate(sample_images.drawn(DRAWN, 384, 3)):
        (folder / f"{i}.jpg").write_bytes(encoded)
