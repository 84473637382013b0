"""The import of Keras and its backend, without what the backend writes about absent GPUs."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

from training.common.errors import UsageError, not_installed

BACKENDS = ("tensorflow", "jax", "torch")


def import_keras() -> None:
    """Imports Keras and the backend that KERAS_BACKEND names.

    TensorFlow writes to the standard error when it is imported and when it first looks for GPUs,
    and no log level silences all of it; the standard error is closed meanwhile.

    Raises:
        UsageError: If KERAS_BACKEND names no backend that trains.
        OSError: If Keras or the backend is not installed.
    """
    given = os.environ.get("KERAS_BACKEND")
    if given and given not in BACKENDS:
        raise UsageError(f"KERAS_BACKEND is one of {', '.join(BACKENDS)}; given {given!r}.")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        if importlib.import_module("keras").backend.backend() == "tensorflow":
            importlib.import_module("tensorflow").config.list_physical_devices()
    except ModuleNotFoundError as error:
        raise OSError(not_installed(error) + _alternatives(error.name)) from error
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _alternatives(missing: str | None) -> str:
    """Names the installed backends, where it is a backend that is missing."""
    installed = [name for name in BACKENDS if importlib.util.find_spec(name)]
    if missing not in BACKENDS or not installed:
        return ""
    return f". Or choose a backend that is installed: KERAS_BACKEND={' or '.join(installed)}"
