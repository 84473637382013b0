"""Helpers of the serving tests: tiny models, images, servers in a process of their own."""

from __future__ import annotations

import atexit
import functools
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import keras
import numpy as np
from PIL import Image

import keras_resnet
from training.data.decoding.resizing import Resizing
from training.export import model_base
from training.export.saved_model import export
from training.models.trained_model import TrainedModel

CHECKOUT = Path(__file__).parents[2]
CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@functools.cache
def tiny(seed=0):
    """A CIFAR net of depth 8 on raw pixels, other weights for each seed; tests only read it."""
    keras.utils.set_random_seed(seed)
    pixels = keras.Input((32, 32, 3), name="pixels")
    centred = keras.layers.Rescaling(1 / 64, offset=-2)(pixels)
    return TrainedModel(
        keras_resnet.CifarResNet(8, input_tensor=centred), Resizing(32, 32), CLASSES
    )


@functools.cache
def exported(seed=0):
    """A version of `tiny(seed)`, exported once in a test process; tests only read it."""
    home = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return export(tiny(seed), "net", home)


def export_tiny(base, name="net", seed=0):
    """A copy of `exported(seed)` as the next version, published by renaming as `export` does.

    It comes without warm-up requests: a server on it starts seconds earlier.
    """
    home = base / name
    home.mkdir(exist_ok=True)
    without = shutil.ignore_patterns("assets.extra")
    shutil.copytree(exported(seed), home / ".writing", ignore=without)
    version = home / str(max(model_base.versions(home), default=0) + 1)
    (home / ".writing").rename(version)
    model_base.refresh(base)
    return version


def image(seed=0, kind="PNG", height=40, width=48):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


class Process:
    """`python -m training serve` on free ports; `kill` is SIGKILL, `stop` SIGTERM."""

    def __init__(self, base, grpc_port=0, rest_port=0, arguments=()):
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "training", "serve", "--base", str(base)),
                *("--server", "embedded", "--poll-seconds", "0.2"),
                *("--grpc-port", str(grpc_port), "--rest-port", str(rest_port), *arguments),
            ],
            cwd=CHECKOUT,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = []
        self._ready = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        if not self._ready.wait(120):
            self.kill()
            raise TimeoutError("\n".join(self.lines))

    def _read(self):
        for line in self._process.stderr:
            self.lines.append(line.rstrip())
            found = re.search(r"gRPC on port (\d+), REST on port (\d+)", line)
            if found:
                self.grpc_port, self.rest_port = map(int, found.groups())
                self._ready.set()

    @property
    def pid(self):
        return self._process.pid

    def resident_mib(self):
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def alive(self):
        return self._process.poll() is None

    def kill(self):
        self._process.kill()
        return self._process.wait(30)

    def stop(self):
        self._process.terminate()
        return self._process.wait(60)


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it did not happen")
        time.sleep(0.05)
