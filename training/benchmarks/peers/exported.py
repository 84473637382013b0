"""ResNet-50 as others export it: keras.applications', and transformers' in two runtimes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from training.benchmarks.infer import DEFAULT_OPENVINO, noise, repeating


def answering(batch: int, calls: int, folder: str, kind: str) -> Callable[[], float]:
    """Measures the images per second of "keras", "onnx", "openvino" or `DEFAULT_OPENVINO`."""
    if kind == "keras":
        return repeating(_keras(batch, Path(folder) / "keras"), batch, calls)
    pixels = np.ascontiguousarray(noise(batch).transpose(0, 3, 1, 2))
    file = Path(folder) / "resnet50.onnx"
    _export(file)
    if kind == "onnx":
        return repeating(_onnx(pixels, file), batch, calls)
    # Some processors compute in bfloat16 unless float32 is asked for.
    hints = {} if kind == DEFAULT_OPENVINO else {"INFERENCE_PRECISION_HINT": "f32"}
    return repeating(_openvino(pixels, file, hints), batch, calls)


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

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"pixels": pixels})


def _openvino(pixels: np.ndarray, file: Path, hints: dict[str, str]) -> Callable[[], object]:
    import openvino

    compiled = openvino.compile_model(str(file), "CPU", hints)
    return lambda: compiled(pixels)[0]


def _export(file: Path) -> None:
    """Exports transformers' ResNet-50 by PyTorch's exporter, for any batch size, once."""
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
