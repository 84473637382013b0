"""ResNet-50 as others export it: keras.applications, and transformers' through two runtimes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from training.benchmarks.infer import noise, repeating


def answering(batch: int, calls: int, folder: str, kind: str) -> Callable[[], float]:
    """Images per second of `kind`: "keras", "onnx" or "openvino"."""
    if kind == "keras":
        return repeating(_keras(batch, Path(folder) / "keras"), batch, calls)
    pixels = np.ascontiguousarray(noise(batch).transpose(0, 3, 1, 2))
    run = _onnx if kind == "onnx" else _openvino
    return repeating(run(pixels, Path(folder) / "resnet50.onnx"), batch, calls)


def _keras(batch: int, folder: Path) -> Callable[[], object]:
    import keras
    import tensorflow as tf

    if not folder.is_dir():
        keras.applications.ResNet50(weights=None).export(folder, verbose=False)
    loaded = tf.saved_model.load(folder)
    pixels = tf.constant(noise(batch))
    return lambda: loaded.serve(pixels).numpy()


def _onnx(pixels: np.ndarray, file: Path) -> Callable[[], object]:
    import onnxruntime

    _export(file)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"pixels": pixels})


def _openvino(pixels: np.ndarray, file: Path) -> Callable[[], object]:
    import openvino

    _export(file)
    compiled = openvino.compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda: compiled(pixels)[0]


def _export(file: Path) -> None:
    """transformers' ResNet-50 with PyTorch's own exporter, any batch size."""
    if file.exists():
        return
    import torch

    from training.benchmarks.peers.torch_training import transformers_resnet50

    torch.onnx.export(
        transformers_resnet50().eval(),
        (torch.zeros(1, 3, 224, 224),),
        file,
        input_names=["pixels"],
        dynamic_axes={"pixels": {0: "batch"}},
        dynamo=False,
    )
