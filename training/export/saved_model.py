"""A model as a SavedModel version under TF Serving's model base."""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_resnet
from training.common.files import sha256
from training.data import sample_images
from training.export import model_base, warmup_requests
from training.export.fused_inference import fused
from training.export.signatures import Signatures
from training.models.trained_model import TrainedModel

logger = logging.getLogger(__name__)

TOP = 5  # classes that `classify` names
MAX_PIXELS = 2**25  # of an encoded image: 33 megapixels, 100 MB decoded
# Largest difference of a probability from the Keras model's. Trained nets stay below 1e-5; nets
# with random weights, whose scores are in the hundreds, come to 2e-4 by rounding alone; a wrong
# graph differs by tenths.
PARITY = 1e-3
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def export(
    served: TrainedModel,
    name: str,
    base: Path,
    *,
    images: Path | None = None,
    top: int = TOP,
    max_pixels: int = MAX_PIXELS,
    extras: Callable[[keras.Model, Sequence[bytes], Path], Mapping[str, Any]] | None = None,
) -> Path:
    """Writes `base/name/<next version>/`, with labels, `model.json` and requests to warm it up.

    The version is written beside, loaded, compared with the Keras model, and renamed: a server
    polling the folder never sees half a model. An existing version is never overwritten.

    Args:
        served: The model.
        name: The served model's name.
        base: TF Serving's model base path, e.g. `savedmodels`.
        images: Folder of images to compare and to warm up with. Default: drawn pictures.
        top: Classes that the signature `classify` names.
        max_pixels: Larger encoded images are refused.
        extras: Writes further files, from (network, images, the version's directory); what it
            returns goes into `model.json`.

    Returns:
        The version's directory.

    Raises:
        ValueError: If the name cannot be one, or the written model's answers are not the Keras
            model's.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"A model's name is letters, digits, '_', '-' and '.', and begins with one of the "
            f"first two; given {name!r}."
        )
    network, batch_norm = _network(served.model)
    size, channels = served.resizing.crop, served.model.input_shape[-1]
    encoded = sample_images.encoded(images, 16, size, channels)
    home = base / name
    home.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=home))
    try:
        version = temporary / "version"
        module = Signatures(fused(network), served.resizing, served.labels, top, max_pixels)
        tf.saved_model.save(module, version, signatures=module.signatures())
        (version / "assets").mkdir(exist_ok=True)
        (version / "assets" / "labels.txt").write_text("\n".join(served.labels) + "\n")
        difference = _compare(served, version, encoded)
        warmed = warmup_requests.write(version, name, encoded, size, channels)
        facts = {
            "name": name,
            **served.facts,
            "resizing": asdict(served.resizing),
            "classes": len(served.labels),
            "batch_norm": batch_norm,
            "max_pixels": max_pixels,
            "largest_difference_from_keras": difference,
            "warm_up_requests": warmed,
            "versions": {
                "python": platform.python_version(),
                "keras": keras.__version__,
                "tensorflow": tf.__version__,
                "keras_resnet": keras_resnet.__version__,
            },
            **(extras(network, encoded, version) if extras else {}),
        }
        facts["sha256"] = {
            str(path.relative_to(version)): sha256(path)
            for path in sorted(version.rglob("*"))
            if path.is_file()
        }
        (version / "assets" / "model.json").write_text(json.dumps(facts, indent=2) + "\n")
        target = _publish(version, home)
    finally:
        shutil.rmtree(temporary)
    model_base.refresh(base)
    return target


def _network(model: keras.Model) -> tuple[keras.Model, str]:
    """The model folded, with the pooled features that its classifier sees as a second output."""
    try:
        folded, note = keras_resnet.fold_batch_norm(model), "folded"
    except ValueError as error:
        logger.warning("Batch norm is kept: %s", error)
        folded, note = model, f"kept: {error}"
    head = next(
        (layer for layer in reversed(folded.layers) if isinstance(layer, keras.layers.Dense)), None
    )
    ends_in_softmax = any(
        getattr(layer, "activation", None) is keras.activations.softmax
        or isinstance(layer, keras.layers.Softmax)
        for layer in (folded.layers[-1], head)
    )
    if head is None or not ends_in_softmax:
        raise ValueError(
            f"{model.name} does not end in a dense layer and a softmax, so that it gives no "
            "probabilities: build it with include_top=True, classifier_activation='softmax'."
        )
    return keras.Model(folded.input, [folded.output, head.input], name=model.name), note


def _compare(served: TrainedModel, version: Path, encoded: Sequence[bytes]) -> float:
    """The largest difference of the written model's probabilities from the Keras model's.

    Raises:
        ValueError: If it is more than `PARITY`.
    """
    loaded = tf.saved_model.load(version)
    module = Signatures(
        served.model, served.resizing, served.labels, top=1, max_pixels=np.iinfo(np.int64).max
    )
    channels = served.model.input_shape[-1]
    whole = tf.io.decode_image(encoded[0], channels=channels, expand_animations=False)[tf.newaxis]
    differences = []
    for name, given, prepare in (
        ("serving_default", {"pixels": tf.cast(whole, tf.float32)}, module.resize),
        ("serve_uint8", {"pixels": whole}, module.resize),
        ("serve_bytes", {"image_bytes": tf.constant(encoded)}, module.decode),
    ):
        expected = served.model(prepare(*given.values()), training=False)
        found = loaded.signatures[name](**given)["probabilities"]
        differences.append(np.abs(found.numpy() - expected.numpy()).max())
    largest = float(max(differences))
    if not largest <= PARITY:
        raise ValueError(
            f"The written model's probabilities differ by {largest:.1e} from the Keras model's; "
            f"at most {PARITY} is allowed. Nothing was published."
        )
    return largest


def _publish(written: Path, home: Path) -> Path:
    """Renames `written` to the next free version number, whoever else exports at the same time."""
    while True:
        taken = [int(path.name) for path in home.iterdir() if path.name.isdecimal()]
        target = home / str(max(taken, default=0) + 1)
        try:
            os.rename(written, target)  # fails where the target exists with anything in it
        except OSError:
            if not target.exists():
                raise
            continue
        return target
