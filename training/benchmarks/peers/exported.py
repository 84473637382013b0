"""ResNet-50 as others export it: keras.applications', and transformers' in two runtimes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from training.benchmarks.answering import CALIBRATION_IMAGES, noise, openvino_answers, repeating
from training.export.quantization import QUANTIZE


def answering(
    batch: int, calls: int, folder: str, form: str, precision: str
) -> Callable[[], float]:
    """Measures the images per second of a peer; its arguments are those of `answering.answering`.

    `form` "keras" is keras.applications' SavedModel; the others are PyTorch's net.
    """
    if form == "keras":
        call = _keras(batch, Path(folder) / f"keras-{precision}", precision)
        return repeating(call, batch, calls)
    file = Path(folder) / "torch.onnx"
    _export(file)
    if precision == "int8":
        file = _quantized(file, form)
    pixels = np.ascontiguousarray(noise(batch).transpose(0, 3, 1, 2))
    if form == "openvino":
        return repeating(openvino_answers(file, precision, pixels), batch, calls)
    return repeating(_onnx(pixels, file), batch, calls)


def _keras(batch: int, folder: Path, precision: str) -> Callable[[], object]:
    import keras
    import tensorflow as tf

    if not folder.is_dir():
        if precision == "bfloat16":
            keras.config.set_dtype_policy("mixed_bfloat16")
        keras.applications.ResNet50(weights=None).export(folder, verbose=False)
    loaded = tf.saved_model.load(folder)
    pixels = tf.constant(noise(batch))
    return lambda: loaded.serve(pixels).numpy()


def _onnx(pixels: np.ndarray, file: Path) -> Callable[[], object]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"pixels": pixels})


def _quantized(file: Path, form: str) -> Path:
    """Quantizes PyTorch's ONNX file as `export` quantizes its own, once."""
    target = file.with_name(f"torch-int8.{'xml' if form == 'openvino' else 'onnx'}")
    if not target.exists():
        QUANTIZE[form](file, target, noise(CALIBRATION_IMAGES).transpose(0, 3, 1, 2))
    return target


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
