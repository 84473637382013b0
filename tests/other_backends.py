"""Python code in processes of their own, each on a backend of Keras."""

from __future__ import annotations

import importlib.util
import os

import pytest
from conftest import CHECKOUT
from forked_python import Program


def run(backend: str, *arguments: object, **environment: str) -> str:
    """Runs Python with these arguments on `backend`, or skips the test; returns what it printed."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    given = {"KERAS_BACKEND": backend, "PYTHONPATH": str(CHECKOUT), **environment}
    program = Program(list(map(str, arguments)), {**os.environ, **given})
    printed, _ = program.communicate()
    assert program.returncode == 0, printed[-3000:]
    return printed
