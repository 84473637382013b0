"""A network in other runtimes: ONNX Runtime, OpenVINO and LiteRT, in float32 and in int8.

Their files take raw pixels 0..255 at the network's size, float32 (N, S, S, C), and give the
probabilities (N, K); resizing and decoding stay with the caller.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from training.export.quantization import QUANTIZE

Predict = Callable[[np.ndarray], np.ndarray]

# format: (file, packages that it needs)
FORMATS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "onnx": ("model.onnx", ("tf2onnx", "onnx", "onnxruntime")),
    "openvino": ("openvino.xml", ("openvino",)),
    "litert": ("model.tflite", ("ai_edge_litert",)),
    "onnx-int8": ("model-int8.onnx", ("tf2onnx", "onnx", "onnxruntime")),
    "openvino-int8": ("openvino-int8.xml", ("openvino", "nncf")),
    "litert-int8": ("model-int8.tflite", ("ai_edge_litert",)),
}


def require(formats: Sequence[str]) -> None:
    """Checks, before anything is written, that the formats' packages are installed.

    Raises:
        ValueError: If they are not.
    """
    for name in formats:
        missing = [p for p in FORMATS[name][1] if importlib.util.find_spec(p) is None]
        if missing:
            raise ValueError(
                f"{name} needs {', '.join(missing)}: pip install 'keras-residual-networks[export]'"
            )


def converted(model: keras.Model, name: str, file: Path, calibration: np.ndarray | None) -> Predict:
    """Writes the file and loads it again.

    Raises:
        ValueError: If the converter or the runtime lacks an operation of the network.
    """
    chatter = logging.getLogger("tf2onnx")
    level = chatter.level
    chatter.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            export(model, name, file, calibration)
        return load(name, file)
    except Exception as error:  # converters and runtimes raise errors of their own kinds
        reason = " ".join(str(error).split())[:500]
        raise ValueError(f"{name} cannot take {model.name}: {reason}") from error
    finally:
        chatter.setLevel(level)


def export(
    model: keras.Model, name: str, file: Path, calibration: np.ndarray | None = None
) -> None:
    """Writes one format. `calibration`: float32 (N, S, S, C), for int8."""
    runtime = name.removesuffix("-int8")
    if name == runtime:
        model(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras asks for a first call
        model.export(str(file), format=runtime, verbose=False)
    elif calibration is None:
        raise ValueError(f"{name} needs images to calibrate with.")
    elif runtime in QUANTIZE:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / FORMATS[runtime][0]
            export(model, runtime, source)
            QUANTIZE[runtime](source, file, calibration)
    else:
        model.export(
            str(file),
            format=runtime,
            verbose=False,
            optimizations=[tf.lite.Optimize.DEFAULT],
            representative_dataset=lambda: ([image[np.newaxis]] for image in calibration),
        )


def load(name: str, file: Path) -> Predict:
    """The format's own runtime on a file: float32 (N, S, S, C) -> (N, K)."""
    runtime = name.removesuffix("-int8")
    if runtime == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        key = session.get_inputs()[0].name
        return lambda pixels: np.asarray(session.run(None, {key: pixels})[0])
    if runtime == "openvino":
        import openvino

        # Full float32: some processors would otherwise compute in bfloat16.
        compiled = openvino.compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return lambda pixels: np.asarray(compiled(pixels)[0])
    return _litert(file)


def _litert(file: Path) -> Predict:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file))
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], (1, *given["shape"][1:]))
    interpreter.allocate_tensors()

    def one(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given["index"], image[np.newaxis])
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(result["index"])[0])

    return lambda pixels: np.stack([one(image) for image in pixels])
