"""The places of the files of published weights and of class names."""

from __future__ import annotations

import os
from pathlib import Path

PRETRAINED = Path(__file__).parent / "pretrained"  # weights that come with the package


def cache() -> Path:
    """Keras's folder of fetched models, as `keras.utils.get_file` documents it."""
    home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    return Path(os.path.expanduser(home)) / "models"
