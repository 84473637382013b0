"""libjpeg-turbo from C, on two threads: the decoding of random crops, and nothing else."""

from __future__ import annotations

import atexit
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from training.benchmarks.data import files
from training.data.augmentation import CROP, SHORTER_SIDES

SOURCE = Path(__file__).with_suffix(".c")


def decoding(folder: str, images: int) -> Callable[[], float]:
    """Images per second; the regions are those that section 3.4's crops are scaled from."""
    with tempfile.TemporaryDirectory() as home:
        program = Path(home) / "decode"
        command = ["cc", "-O3", SOURCE, "-o", program, "-ljpeg", "-lpthread"]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            raise OSError(f"libjpeg.c does not compile: {built.stderr.strip()}")
        process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        process.stdin.write("".join(regions(files(folder), images)) + "\n")
        _pass(process)  # it has begun: its file may go
    atexit.register(process.kill)
    return lambda: images / _pass(process)


def _pass(process: subprocess.Popen[str]) -> float:
    process.stdin.write("once\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def regions(paths: np.ndarray, images: int) -> list[str]:
    """A line for each image: top, left, height, width, path."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(images):
        path = paths[i % len(paths)]
        with Image.open(path) as image:
            extent = np.array(image.size[::-1])
        side = int(CROP / rng.integers(SHORTER_SIDES[0], SHORTER_SIDES[1] + 1) * extent.min())
        top, left = (int(rng.integers(0, length - side + 1)) for length in extent)
        lines.append(f"{top} {left} {side} {side} {path}\n")
    return lines
