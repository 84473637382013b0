"""Benchmarks the inference of ResNet-50: this project's exports, others', and a matrix product."""

from __future__ import annotations

import argparse
import atexit
import importlib.util
import operator
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from training.benchmarks.report import Comparison, Goal
from training.benchmarks.timing import Contender
from training.common.environment import SERVING

PEERS = "training.benchmarks.peers"
KERAS, RUNTIMES, MATRIX = 1.25, 1.0, 0.9
DEFAULT_OPENVINO = "OpenVINO, default precision"
CALLS = {1: 16, 16: 2}  # batch: calls in a repeat
SIZE, CLASSES = 224, 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds no arguments."""


def comparisons(options: argparse.Namespace) -> list[Comparison]:
    folder = tempfile.mkdtemp(prefix="benchmark-infer-")  # each export is written once
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    in_float32 = [_comparison(batch, folder) for batch in CALLS]
    return [*in_float32, *(_comparison_of_defaults(batch, folder) for batch in CALLS)]


def _comparison_of_defaults(batch: int, folder: str) -> Comparison:
    """Returns what OpenVINO's users get: where the processor offers it, OpenVINO takes bfloat16."""
    given = {"batch": batch, "calls": CALLS[batch], "folder": folder, "kind": DEFAULT_OPENVINO}
    exported = Contender("exported OpenVINO", f"{__name__}:answering", given, ("openvino",))
    peer = Contender(
        "PyTorch's, OpenVINO",
        f"{PEERS}.exported:answering",
        given,
        ("torch", "transformers", "openvino"),
    )
    return Comparison(
        f"ResNet-50 in OpenVINO's default precision, batch {batch}",
        "images/s",
        (exported, peer),
        (Goal(f"infer-resnet50-batch{batch}-defaults", (exported.name,), RUNTIMES, (peer.name,)),),
    )


def _comparison(batch: int, folder: str) -> Comparison:
    given = {"batch": batch, "calls": CALLS[batch], "folder": folder}
    ours = [
        Contender(
            f"exported {kind}",
            f"{__name__}:answering",
            {**given, "kind": kind},
            needs,
            environment=SERVING,
        )
        for kind, needs in (
            ("SavedModel", ()),
            ("ONNX", ("tf2onnx", "onnx", "onnxruntime")),
            ("OpenVINO", ("openvino",)),
        )
    ]
    torch = ("torch", "transformers")
    keras = Contender(
        "keras.applications, SavedModel", f"{PEERS}.exported:answering", {**given, "kind": "keras"}
    )
    served = f"{keras.name}, in this project's server environment"
    alike = replace(keras, name=served, environment=SERVING)
    runtimes = [
        Contender(
            f"PyTorch's, {title}",
            f"{PEERS}.exported:answering",
            {**given, "kind": kind},
            (*torch, *needs),
        )
        for title, kind, needs in (
            ("ONNX Runtime", "onnx", ("onnx", "onnxruntime")),
            ("OpenVINO", "openvino", ("openvino",)),
        )
    ]
    products = [
        Contender(f"matrix product, {title}", f"{__name__}:multiplying", {"library": name}, needs)
        for title, name, needs in (
            ("NumPy", "numpy", ()),
            ("TensorFlow", "tensorflow", ()),
            ("PyTorch", "torch", ("torch",)),
        )
    ]

    def names(contenders: list[Contender]) -> tuple[str, ...]:
        return tuple(contender.name for contender in contenders)

    prefix = f"infer-resnet50-batch{batch}"
    return Comparison(
        f"ResNet-50 in float32, batch {batch}",
        "images/s",
        (*ours, keras, alike, *runtimes, *products),
        (
            Goal(f"{prefix}-savedmodel", (ours[0].name,), KERAS, (keras.name,)),
            Goal(f"{prefix}-runtimes", names(ours), RUNTIMES, names(runtimes)),
            Goal(f"{prefix}-matrix", names(ours), MATRIX, names(products)),
        ),
    )


def answering(batch: int, calls: int, folder: str, kind: str) -> Callable[[], float]:
    """Measures the images per second of what `export --formats onnx openvino` writes."""
    version = _exported(Path(folder) / "ours")
    if kind == "SavedModel":
        import tensorflow as tf

        loaded = tf.saved_model.load(version)
        pixels = tf.constant(noise(batch))
        return repeating(
            lambda: loaded.signatures["serving_default"](pixels=pixels)["probabilities"].numpy(),
            batch,
            calls,
        )
    from training.export import other_runtimes

    if kind == DEFAULT_OPENVINO:
        import openvino

        file = version / "runtimes" / other_runtimes.FORMATS["openvino"][0]
        compiled = openvino.compile_model(str(file), "CPU")
        return repeating(lambda: compiled(noise(batch))[0], batch, calls)
    name = kind.lower()
    predict = other_runtimes.load(name, version / "runtimes" / other_runtimes.FORMATS[name][0])
    pixels = noise(batch)
    return repeating(lambda: predict(pixels), batch, calls)


def _exported(base: Path) -> Path:
    """Exports ResNet-50 with random weights, with the other runtimes' files, once."""
    import keras

    import keras_resnet
    from training.data.resizing import Resizing
    from training.export import other_runtimes
    from training.export.saved_model import export
    from training.models.trained_model import TrainedModel

    version = base / "resnet50" / "1"
    if version.is_dir():
        return version
    pixels = keras.Input((SIZE, SIZE, 3), name="pixels")
    centred = keras.layers.Normalization(mean=[127.5] * 3, variance=[64.0**2] * 3)(pixels)
    model = keras_resnet.ResNet50(weights=None, input_tensor=centred)
    labels = tuple(map(str, range(CLASSES)))
    trained = TrainedModel(model, Resizing(SIZE, SIZE), labels)

    def others(network: keras.Model, encoded: Any, version: Path) -> dict[str, Any]:
        formats = [
            name
            for name in ("onnx", "openvino")
            if all(importlib.util.find_spec(package) for package in other_runtimes.FORMATS[name][1])
        ]
        return other_runtimes.write(
            network, encoded, version, formats=formats, images=None, trained=trained
        )

    return export(trained, "resnet50", base, extras=others)


def multiplying(library: str, size: int = 2048, times: int = 8) -> Callable[[], float]:
    """Measures a square float32 product, in images per second of ResNet-50's multiply-adds."""
    import keras_resnet
    from keras_resnet import analysis

    a = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    matrix: Any
    multiply: Callable[[Any, Any], Any]
    if library == "tensorflow":
        import tensorflow as tf

        matrix, multiply = tf.constant(a), lambda x, y: tf.matmul(x, y).numpy()
    elif library == "torch":
        import torch

        matrix, multiply = torch.from_numpy(a), operator.matmul
    else:
        matrix, multiply = a, operator.matmul
    images = size**3 / analysis.multiply_adds(keras_resnet.ResNet50(weights=None))
    return repeating(lambda: multiply(matrix, matrix), images, times)


def noise(batch: int) -> np.ndarray:
    """Returns random images, (batch, 224, 224, 3) float32, 0..255."""
    return np.random.default_rng(0).uniform(0, 255, (batch, SIZE, SIZE, 3)).astype(np.float32)


def repeating(call: Callable[[], Any], images: float, calls: int) -> Callable[[], float]:
    """Measures the images per second of `calls` calls, after two calls to warm up."""
    call(), call()

    def repeat() -> float:
        began = time.perf_counter()
        for _ in range(calls):
            call()
        return calls * images / (time.perf_counter() - began)

    return repeat
