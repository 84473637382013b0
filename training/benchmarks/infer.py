"""Benchmarks the inference of ResNet-50: this project's exports, others', and a matrix product."""

from __future__ import annotations

import argparse
import atexit
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace

from training.benchmarks.report import Comparison, Goal
from training.benchmarks.timing import Contender
from training.common.environment import SERVING

OURS = "training.benchmarks.answering"
PEERS = "training.benchmarks.peers.exported"
KERAS, RUNTIMES, MATRIX = 1.25, 1.0, 0.9
# Beside the SavedModel in float32, where the processor multiplies in the precision.
BFLOAT16 = {1: 1.5, 16: 3.5}  # by batch
INT8 = 5.0
CALLS = {1: 16, 16: 2}  # batch: calls in a repeat

ONNX, TORCH = ("onnx", "onnxruntime"), ("torch", "transformers")
# form: (module, form there, name, packages that it needs)
FORMS: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "savedmodel": (OURS, "savedmodel", "exported SavedModel", ()),
    "onnx": (OURS, "onnx", "exported ONNX", ("tf2onnx", *ONNX)),
    "openvino": (OURS, "openvino", "exported OpenVINO", ("openvino",)),
    "keras": (PEERS, "keras", "keras.applications, SavedModel", ()),
    "torch-onnx": (PEERS, "onnx", "PyTorch's, ONNX Runtime", (*TORCH, *ONNX)),
    "torch-openvino": (PEERS, "openvino", "PyTorch's, OpenVINO", (*TORCH, "onnx", "openvino")),
}
PRODUCTS = tuple(
    Contender(f"matrix product, {title}", f"{OURS}:multiplying", {"library": name}, needs)
    for title, name, needs in (
        ("NumPy", "numpy", ()),
        ("TensorFlow", "tensorflow", ()),
        ("PyTorch", "torch", ("torch",)),
    )
)

Contenders = tuple[Contender, ...]
GoalRow = tuple[str, Contenders, float, Contenders]  # (name, ours, ratio, peers)
Make = Callable[[str, str], Contender]  # from a form and a precision


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds no arguments."""


def comparisons(options: argparse.Namespace) -> list[Comparison]:
    folder = tempfile.mkdtemp(prefix="benchmark-infer-")  # each export is written once
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return [
        COMPARISONS[precision](batch, _maker(batch, folder))
        for precision in options.precision
        for batch in CALLS
    ]


def _in_float32(batch: int, make: Make) -> Comparison:
    ours = tuple(make(form, "float32") for form in ("savedmodel", "onnx", "openvino"))
    runtimes = tuple(make(form, "float32") for form in ("torch-onnx", "torch-openvino"))
    keras = make("keras", "float32")
    served = f"{keras.name}, in this project's server environment"
    # What users of OpenVINO get: where the processor offers it, bfloat16.
    default, default_peer = make("openvino", "default"), make("torch-openvino", "default")
    return _comparison(
        batch,
        "float32",
        ("savedmodel", ours[:1], KERAS, (keras,)),
        ("runtimes", ours, RUNTIMES, runtimes),
        ("matrix", ours, MATRIX, PRODUCTS),
        ("defaults", (default,), RUNTIMES, (default_peer,)),
        beside=(replace(keras, name=served, environment=SERVING),),
    )


def _in_bfloat16(batch: int, make: Make) -> Comparison:
    exact, saved = make("savedmodel", "float32"), make("savedmodel", "bfloat16")
    compiled, peer = make("openvino", "bfloat16"), make("torch-openvino", "bfloat16")
    keras, default = make("keras", "bfloat16"), make("torch-openvino", "default")
    return _comparison(
        batch,
        "bfloat16",
        ("float32", (saved,), BFLOAT16[batch], (exact,)),
        ("savedmodel", (saved,), KERAS, (keras,)),
        ("openvino", (compiled,), RUNTIMES, (peer,)),
        ("defaults", (saved, compiled), RUNTIMES, (default,)),
    )


def _in_int8(batch: int, make: Make) -> Comparison:
    exact, default = make("savedmodel", "float32"), make("torch-openvino", "default")
    onnx, onnx_peer = make("onnx", "int8"), make("torch-onnx", "int8")
    compiled, peer = make("openvino", "int8"), make("torch-openvino", "int8")
    return _comparison(
        batch,
        "int8",
        ("float32", (onnx, compiled), INT8, (exact,)),
        ("onnx", (onnx,), RUNTIMES, (onnx_peer,)),
        ("openvino", (compiled,), RUNTIMES, (peer,)),
        ("defaults", (onnx, compiled), RUNTIMES, (default,)),
    )


COMPARISONS = {"float32": _in_float32, "bfloat16": _in_bfloat16, "int8": _in_int8}


def _comparison(batch: int, precision: str, *goals: GoalRow, beside: Contenders = ()) -> Comparison:
    """Compares the contenders of the goals, and those `beside` them."""
    judged = [one for _, ours, _, peers in goals for one in (*ours, *peers)]

    def names(some: Contenders) -> tuple[str, ...]:
        return tuple(contender.name for contender in some)

    prefix = f"infer-resnet50-{precision}-batch{batch}"
    return Comparison(
        f"ResNet-50 in {precision}, batch {batch}",
        "images/s",
        tuple({one.name: one for one in (*judged, *beside)}.values()),
        tuple(
            Goal(f"{prefix}-{name}", names(ours), ratio, names(peers))
            for name, ours, ratio, peers in goals
        ),
    )


def _maker(batch: int, folder: str) -> Make:
    def make(form: str, precision: str) -> Contender:
        module, there, name, needs = FORMS[form]
        given = {"batch": batch, "calls": CALLS[batch], "folder": folder}
        return Contender(
            f"{name}, {precision}",
            f"{module}:answering",
            {**given, "form": there, "precision": precision},
            (*needs, "nncf") if (there, precision) == ("openvino", "int8") else needs,
            environment=SERVING if module == OURS else {},
        )

    return make
