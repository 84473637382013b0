"""A trained model as a SavedModel version under TF Serving's model base."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import keras
import tensorflow as tf


def export(model: keras.Model, name: str, base: Path) -> Path:
    """Writes `base/name/<next version>/`: raw pixels in, probabilities out.

    The version is written beside and renamed, so that a server polling the folder never sees half
    a model; an existing version is never overwritten.

    Args:
        model: Raw pixels 0..255 (N, H, W, C) -> probabilities (N, classes), as `train` writes it.
        name: The served model's name.
        base: TF Serving's model base path, e.g. `savedmodels`.

    Returns:
        The version's directory.
    """
    home = base / name
    home.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=home))
    try:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint(
            name="serving_default",
            fn=lambda pixels: {"probabilities": model(pixels, training=False)},
            input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, "pixels")],
        )
        archive.write_out(temporary / "version", verbose=False)
        return _publish(temporary / "version", home)
    finally:
        shutil.rmtree(temporary)


def _publish(written: Path, home: Path) -> Path:
    """Renames `written` to the next free version number, whoever else exports at the same time."""
    while True:
        versions = [int(path.name) for path in home.iterdir() if path.name.isdecimal()]
        target = home / str(max(versions, default=0) + 1)
        try:
            os.rename(written, target)  # fails where the target exists with anything in it
        except OSError:
            if not target.exists():
                raise
            continue
        return target
