"""Python code in processes of their own, each on a backend of Keras."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile

import pytest
from conftest import CHECKOUT


def run(backend: str, *arguments: object, **environment: str) -> str:
    """Runs Python with these arguments on `backend`, or skips the test; returns what it printed."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(CHECKOUT), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout


def run_quickly_compiled(backend: str, *arguments: object, **environment: str) -> str:
    """`run`, in which JAX compiles faster and computes more slowly, each program once."""
    if backend == "jax":  # XLA's newer generator of fused loops doubles the time to compile
        flags = environment.get("XLA_FLAGS", "")
        environment["XLA_FLAGS"] = f"{flags} --xla_cpu_use_fusion_emitters=false"
    with tempfile.TemporaryDirectory() as programs:
        return run(
            backend,
            *arguments,
            JAX_DISABLE_MOST_OPTIMIZATIONS="1",
            JAX_COMPILATION_CACHE_DIR=programs,
            JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
            **environment,
        )
