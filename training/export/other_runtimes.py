"""The network for other runtimes: ONNX, OpenVINO and LiteRT, in float32 and int8, each checked.

Their files take raw pixels 0..255 at the network's size, float32 (N, S, S, C), and give the
probabilities (N, K); resizing and decoding stay with the caller.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from training.data.batches import eval_batches
from training.data.folder import sample_images
from training.data.splits import Dataset, Split
from training.export.quantization import QUANTIZE
from training.export.signatures import ImageInput
from training.models.trained_model import TrainedModel

logger = logging.getLogger(__name__)

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


def write(
    network: keras.Model,
    encoded: Sequence[bytes],
    version: Path,
    *,
    formats: Sequence[str],
    images: Path | None,
    trained: TrainedModel,
    dataset: Dataset | None = None,
    max_drop: float = np.inf,
) -> dict[str, Any]:
    """Writes `version/runtimes/` with a file per format and `parity.json`.

    Args:
        network: As `inference_network` gives it.
        encoded: Image files to compare on.
        version: The directory of the version that is being written.
        formats: Keys of `FORMATS`.
        images: Folder of images to calibrate int8 with.
        trained: What is exported.
        dataset: Its training images calibrate int8, its test images measure the error of the
            SavedModel and of each format.
        max_drop: How many points of accuracy each may lose on the test images.

    Returns:
        For `model.json`: each format's file and differences, and the error in per cent.

    Raises:
        ValueError: If a float format's probabilities are not Keras's, or one loses too many points.
    """
    folder = version / "runtimes"
    folder.mkdir()
    model = keras.Model(network.input, network.output["probabilities"], name=network.name)
    pixels = _pixels(trained, encoded)
    expected = model(pixels, training=False).numpy()
    report: dict[str, Any] = {}
    if dataset is not None:
        error = test_error(model.predict_on_batch, trained, dataset.test)
        report["keras"] = {"test_error": error}
        report["savedmodel"] = {}
        _measure("savedmodel", _saved_model(version), report, trained, dataset, max_drop)
    int8 = any("int8" in name for name in formats)
    calibration = _calibration(trained, images, dataset) if int8 else None
    for name in formats:
        logger.info("Converting to %s", name)
        file = folder / FORMATS[name][0]
        predict = _converted(model, name, file, calibration)
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
            _measure(name, predict, report, trained, dataset, max_drop)
    (folder / "parity.json").write_text(json.dumps(report, indent=2) + "\n")
    return {"runtimes": report}


def _measure(
    name: str,
    predict: Predict,
    report: dict[str, Any],
    trained: TrainedModel,
    dataset: Dataset,
    max_drop: float,
) -> None:
    """Writes a form's test error into the report, beside Keras's."""
    error = report[name]["test_error"] = test_error(predict, trained, dataset.test)
    drop = error - report["keras"]["test_error"]
    if drop > max_drop:
        raise ValueError(
            f"{name} loses {drop:.2f} points of accuracy on {dataset.test.examples:,} test images; "
            f"at most {max_drop:g} are allowed (--max-drop). Nothing was published."
        )


def test_error(predict: Predict, trained: TrainedModel, test: Split) -> float:
    """Per cent of a split's images, all of them, whose best class is wrong."""
    wrong = 0
    for pixels, labels in eval_batches(
        test, batch_size=100, image_size=trained.resizing.crop
    ).as_numpy_iterator():
        wrong += int((predict(pixels).argmax(1) != labels).sum())
    return 100 * wrong / test.examples


def _converted(
    model: keras.Model, name: str, file: Path, calibration: np.ndarray | None
) -> Predict:
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


def _saved_model(version: Path) -> Predict:
    model = tf.saved_model.load(version)

    def predict(pixels: np.ndarray) -> np.ndarray:
        answer = model.signatures["serving_default"](pixels=tf.constant(pixels))
        return np.asarray(answer["probabilities"])

    return predict


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


def _calibration(trained: TrainedModel, images: Path | None, dataset: Dataset | None) -> np.ndarray:
    """Images such as the network will see; with others int8 loses far more than need be."""
    size, channels = trained.resizing.crop, trained.model.input_shape[-1]
    if images is not None:
        return _pixels(trained, sample_images.encoded(images, CALIBRATION_IMAGES, size, channels))
    if dataset is None:
        raise ValueError(
            "int8 is calibrated with images such as it will see: give --images or --dataset."
        )
    batches = eval_batches(dataset.train, batch_size=CALIBRATION_IMAGES, image_size=size)
    return np.asarray(next(batches.as_numpy_iterator())[0])


def _pixels(trained: TrainedModel, encoded: Sequence[bytes]) -> np.ndarray:
    """Image files as the network takes them: (N, S, S, C) float32."""
    channels = trained.model.input_shape[-1]
    images = ImageInput(trained.resizing, channels, max_pixels=np.iinfo(np.int64).max)
    return np.asarray(images.decode(tf.constant(encoded)))
