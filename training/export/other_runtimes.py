"""The network for other runtimes: ONNX, OpenVINO, LiteRT (float and int8), each checked.

Their files take raw pixels 0..255 at the network's size, float32 (N, S, S, C), and give the
probabilities (N, K); resizing and decoding stay with the caller.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from training.data import sample_images
from training.data.batches import eval_batches
from training.data.splits import Dataset, Split
from training.export.fused_inference import fused
from training.export.signatures import Signatures
from training.models.trained_model import TrainedModel

Predict = Callable[[np.ndarray], np.ndarray]

CALIBRATION_IMAGES = 200
# Largest difference of a probability from Keras's: of float runtimes, rounding in another order.
# int8 is no such rounding: its figures are reported, and its accuracy must be measured.
PARITY = 1e-4

# format: (file, packages that it needs)
FORMATS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "onnx": ("model.onnx", ("tf2onnx", "onnx", "onnxruntime")),
    "openvino": ("openvino.xml", ("openvino",)),
    "litert": ("model.tflite", ("ai_edge_litert",)),
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


def write(
    network: keras.Model,
    encoded: Sequence[bytes],
    version: Path,
    *,
    formats: Sequence[str],
    images: Path | None,
    served: TrainedModel,
    dataset: Dataset | None = None,
) -> dict[str, Any]:
    """Writes `version/runtimes/` with a file per format and `parity.json`.

    Args:
        network: Probabilities first among its outputs, folded.
        encoded: Image files to compare on.
        version: The directory of the version that is being written.
        formats: Keys of `FORMATS`.
        images: Folder of images to calibrate int8 with.
        served: What is exported.
        dataset: Its training images calibrate int8, its test images measure each format's error.

    Returns:
        For `model.json`: each format's file and differences, and the error in per cent.

    Raises:
        ValueError: If a float format's probabilities are not Keras's.
    """
    folder = version / "runtimes"
    folder.mkdir()
    model = convertible(network)
    pixels = _pixels(served, encoded)
    expected = model(pixels, training=False).numpy()
    report: dict[str, Any] = {}
    if dataset is not None:
        error = test_error(model.predict_on_batch, served, dataset.test)
        report["keras"] = {"test_error": error}
    calibration = _calibration(served, images, dataset) if "litert-int8" in formats else None
    for name in formats:
        file = folder / FORMATS[name][0]
        export(model, name, file, calibration)
        predict = load(name, file)
        found = predict(pixels)
        difference = float(np.abs(found - expected).max())
        if "int8" not in name and not difference <= PARITY:
            raise ValueError(f"{name}: probabilities differ by {difference:.1e} from Keras's.")
        report[name] = {
            "file": file.name,
            "images_compared": len(pixels),
            "largest_difference": difference,
            "same_best_class": float(np.mean(found.argmax(1) == expected.argmax(1))),
        }
        if dataset is not None:
            report[name]["test_error"] = test_error(predict, served, dataset.test)
    (folder / "parity.json").write_text(json.dumps(report, indent=2) + "\n")
    return {"runtimes": report}


def test_error(predict: Predict, served: TrainedModel, test: Split) -> float:
    """Per cent of a split's images, all of them, whose best class is wrong."""
    wrong = 0
    for pixels, labels in eval_batches(
        test, batch_size=100, image_size=served.resizing.crop
    ).as_numpy_iterator():
        wrong += int((predict(pixels).argmax(1) != labels).sum())
    return 100 * wrong / test.examples


class Affine(keras.layers.Layer):
    """x * scale + offset, as weights: converters lose the constants of `Normalization`."""

    def __init__(self, scale: np.ndarray, offset: np.ndarray, name: str) -> None:
        super().__init__(name=name, trainable=False)
        self.scale = self._constant(scale, "scale")
        self.offset = self._constant(offset, "offset")

    def _constant(self, value: np.ndarray, name: str) -> keras.Variable:
        initializer = keras.initializers.Constant(value)
        return self.add_weight(shape=value.shape, initializer=initializer, name=name)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x * self.scale + self.offset


def convertible(network: keras.Model) -> keras.Model:
    """Probabilities alone, sharing the network's layers, with its normalization as weights."""

    def replace(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.Normalization):
            mean, variance = np.array(layer.mean)[0], np.array(layer.variance)[0]
            scale = 1 / np.sqrt(variance)
            return Affine(scale, -mean * scale, layer.name)
        return layer

    model = keras.Model(network.input, network.outputs[0], name=network.name)
    return keras.models.clone_model(
        model, clone_function=replace, call_function=lambda layer, *a, **k: layer(*a, **k)
    )


def export(
    model: keras.Model, name: str, file: Path, calibration: np.ndarray | None = None
) -> None:
    """Writes one format. `calibration`: float32 (N, S, S, C), for int8."""
    if name in ("onnx", "openvino"):
        network = fused(model)
        network(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras asks for a first call
        network.export(str(file), format=name, verbose=False)
    elif name == "litert":
        model.export(str(file), format="litert", verbose=False)
    else:
        model.export(
            str(file),
            format="litert",
            verbose=False,
            optimizations=[tf.lite.Optimize.DEFAULT],
            representative_dataset=lambda: ([image[np.newaxis]] for image in calibration),
        )


def load(name: str, file: Path) -> Predict:
    """The format's own runtime on a file: float32 (N, S, S, C) -> (N, K)."""
    if name == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        key = session.get_inputs()[0].name
        return lambda pixels: session.run(None, {key: pixels})[0]
    if name == "openvino":
        import openvino

        # Full float32: some processors would otherwise compute in bfloat16.
        compiled = openvino.compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return lambda pixels: compiled(pixels)[0]
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
        return interpreter.get_tensor(result["index"])[0]

    return lambda pixels: np.stack([one(image) for image in pixels])


def _calibration(served: TrainedModel, images: Path | None, dataset: Dataset | None) -> np.ndarray:
    """Images such as the network will see; with others int8 loses far more than need be."""
    size, channels = served.resizing.crop, served.model.input_shape[-1]
    if images is not None:
        return _pixels(served, sample_images.encoded(images, CALIBRATION_IMAGES, size, channels))
    if dataset is None:
        raise ValueError(
            "litert-int8 is calibrated with images such as it will see: give --images or --dataset."
        )
    batches = eval_batches(dataset.train, batch_size=CALIBRATION_IMAGES, image_size=size)
    return next(batches.as_numpy_iterator())[0]


def _pixels(served: TrainedModel, encoded: Sequence[bytes]) -> np.ndarray:
    """Image files as the network takes them: (N, S, S, C) float32."""
    limit = np.iinfo(np.int64).max
    module = Signatures(served.model, served.resizing, served.labels, top=1, max_pixels=limit)
    return module.decode(tf.constant(encoded)).numpy()
