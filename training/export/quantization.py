"""int8 files by the runtimes' own tools: post-training quantization of their float files.

Images such as the network will see tell how large each activation grows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np


def quantize_onnx(source: Path, target: Path, images: np.ndarray) -> None:
    """Quantizes an ONNX file by ONNX Runtime's static quantization.

    Args:
        source: The float32 file; its only input takes `images`.
        target: The int8 file to write.
        images: To calibrate with, float32 (N, ...).
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static

    model = onnx.load(source)
    quantize_static(
        model,
        target,
        _Images(model.graph.input[0].name, images),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        # 7 bits of each weight: without VNNI, x86 processors add products in 16 bits, and with all
        # 8 the sums overflow. ResNet-20 then lost 1.46 points on CIFAR-10, with 7 bits 0.08.
        reduce_range=True,
        # In 8 bits all probabilities below 0.2 % would be 0.
        nodes_to_exclude=[node.name for node in model.graph.node if node.op_type == "Softmax"],
    )


class _Images:
    """An `onnxruntime.quantization.CalibrationDataReader`: one image at a time."""

    def __init__(self, name: str, images: np.ndarray) -> None:
        self._feeds = ({name: image[np.newaxis]} for image in images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def quantize_openvino(source: Path, target: Path, images: np.ndarray) -> None:
    """Quantizes an OpenVINO or ONNX file by NNCF; the arguments are those of `quantize_onnx`."""
    import nncf
    import openvino

    nncf.set_log_level(logging.ERROR)
    batches = nncf.Dataset([image[np.newaxis] for image in images])
    model = nncf.quantize(openvino.Core().read_model(source), batches, subset_size=len(images))
    openvino.save_model(model, target)


QUANTIZE: Mapping[str, Callable[[Path, Path, np.ndarray], None]] = {
    "onnx": quantize_onnx,
    "openvino": quantize_openvino,
}
