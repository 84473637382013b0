"""Imports Keras and its backend quietly, and warns of a GPU that is not used."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from training.common import nvidia
from training.common.errors import UsageError, not_installed

BACKENDS = ("tensorflow", "jax", "torch")
# Keras imports these for wrappers and galleries that nothing here uses: 2 of the 6 s of its import.
NOT_NEEDED = ("sklearn", "matplotlib")


def import_keras() -> None:
    """Imports Keras and the backend that KERAS_BACKEND names.

    Says so on the standard error if the machine has an NVIDIA device that the backend cannot use.

    Raises:
        UsageError: If KERAS_BACKEND names no backend that trains.
        OSError: If Keras or the backend is not installed.
    """
    given = os.environ.get("KERAS_BACKEND")
    if given and given not in BACKENDS:
        raise UsageError(f"KERAS_BACKEND is one of {', '.join(BACKENDS)}; given {given!r}.")
    # What stops TensorFlow becomes a Python exception, so its own log repeats it or is noise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with silent_stderr():
            with _hidden(NOT_NEEDED):
                backend = importlib.import_module("keras").backend.backend()
            wanted = bool(nvidia.devices()) and not nvidia.hidden()
            # TensorFlow writes when it first searches for GPUs; JAX is asked only if there is one.
            used = _sees_gpu(backend) if wanted or backend == "tensorflow" else False
    except ModuleNotFoundError as error:
        raise OSError(not_installed(error) + _alternatives(error.name)) from error
    if wanted and not used:
        print(nvidia.unused(backend), file=sys.stderr)


def import_tensorflow() -> None:
    """Imports TensorFlow, which reads images on every backend, without what it writes.

    Where Keras computes on another backend, TensorFlow stays away from the GPUs.

    Raises:
        ModuleNotFoundError: If it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silent_stderr(), _hidden(NOT_NEEDED):
        config = importlib.import_module("tensorflow").config
        config.list_physical_devices()
        if importlib.import_module("keras").backend.backend() != "tensorflow":
            config.set_visible_devices([], "GPU")


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Drops what the block writes to the standard error, from C++ too.

    TensorFlow writes there when it is imported and when it first searches for GPUs; no log level
    silences all of it.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _hidden(packages: Iterable[str]) -> Iterator[None]:
    """Lets the block find these packages missing, unless they were imported before it."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is "not found"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _sees_gpu(backend: str) -> bool:
    """Whether the backend can use a GPU."""
    module = importlib.import_module(backend)
    if backend == "tensorflow":
        return bool(module.config.list_physical_devices("GPU"))
    if backend == "jax":
        return any(device.platform != "cpu" for device in module.devices())
    return bool(module.cuda.is_available())


def _alternatives(missing: str | None) -> str:
    """Names the installed backends, where it is a backend that is missing."""
    installed = [name for name in BACKENDS if importlib.util.find_spec(name)]
    if missing not in BACKENDS or not installed:
        return ""
    return f". Or choose a backend that is installed: KERAS_BACKEND={' or '.join(installed)}"
