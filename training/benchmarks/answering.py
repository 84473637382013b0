"""Answers of ResNet-50 in one form and precision: what the processes of `infer` measure."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZE, CLASSES = 224, 1000
CALIBRATION_IMAGES = 4  # of int8, whose speed does not depend on them
# OpenVINO by itself takes the best precision that the processor offers.
HINTS = {
    "float32": {"INFERENCE_PRECISION_HINT": "f32"},
    "bfloat16": {"INFERENCE_PRECISION_HINT": "bf16"},
}


def answering(
    batch: int, calls: int, folder: str, form: str, precision: str
) -> Callable[[], float]:
    """Measures the images per second of what `export` writes.

    Args:
        batch: Images in a call.
        calls: Calls in a repeat.
        folder: Where the exports lie, or are written.
        form: "savedmodel", "onnx" or "openvino".
        precision: "float32", "bfloat16", "int8", or "default" for the runtime's own choice.
    """
    file, pixels = _exported(Path(folder), form, precision), noise(batch)
    if form == "savedmodel":
        import tensorflow as tf

        loaded = tf.saved_model.load(file)
        tensor = tf.constant(pixels)
        return repeating(
            lambda: loaded.signatures["serving_default"](pixels=tensor)["probabilities"].numpy(),
            batch,
            calls,
        )
    if form == "openvino":
        return repeating(openvino_answers(file, precision, pixels), batch, calls)
    from training.export import other_runtimes

    predict = other_runtimes.load(form, file)
    return repeating(lambda: predict(pixels), batch, calls)


def openvino_answers(file: Path, precision: str, pixels: np.ndarray) -> Callable[[], Any]:
    """Returns a call of OpenVINO's on these pixels, in a precision or in OpenVINO's own choice."""
    import openvino

    compiled = openvino.compile_model(str(file), "CPU", HINTS.get(precision, {}))
    return lambda: compiled(pixels)[0]


def _exported(folder: Path, form: str, precision: str) -> Path:
    """Exports ResNet-50 with random weights in one form, unless that is done."""
    from training.export import other_runtimes

    name = f"{form}-int8" if precision == "int8" else form
    file = folder / (f"{precision}/1" if form == "savedmodel" else other_runtimes.FORMATS[name][0])
    if file.exists():
        return file
    import keras

    import keras_resnet
    from training.data.decoding.resizing import Resizing
    from training.export.inference_network import inference_network
    from training.export.saved_model import export
    from training.models.trained_model import TrainedModel

    pixels = keras.Input((SIZE, SIZE, 3), name="pixels")
    centred = keras.layers.Normalization(mean=[127.5] * 3, variance=[64.0**2] * 3)(pixels)
    model = keras_resnet.ResNet50(weights=None, input_tensor=centred)
    # Random weights give scores in the hundreds, whose rounding alone would change probabilities.
    kernel = model.get_layer("predictions").kernel
    kernel.assign(kernel / 1000)
    if form == "savedmodel":
        trained = TrainedModel(model, Resizing(SIZE, SIZE), tuple(map(str, range(CLASSES))))
        return export(trained, precision, folder, precision=precision)
    network = inference_network(model).network
    probabilities = keras.Model(network.input, network.output["probabilities"])
    other_runtimes.export(probabilities, name, file, noise(CALIBRATION_IMAGES))
    return file


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
