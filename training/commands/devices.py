"""`python -m training devices`: what each installed backend can compute on."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib import util
from typing import Any

from training.common import machine, nvidia
from training.common.keras_import import BACKENDS

SECONDS = 180  # until a backend's import is given up
# Each program finds the GPUs that its backend can use, in its own process: a backend that fails,
# or takes all the memory of a GPU, leaves the others alone.
PROGRAMS = {
    "tensorflow": """
import tensorflow as tf
gpus = tf.config.list_physical_devices("GPU")
gpu = bool(gpus)
details = map(tf.config.experimental.get_device_details, gpus)
names = [one.get("device_name", "GPU") for one in details]
""",
    "jax": """
import jax
gpu = any(device.platform != "cpu" for device in jax.devices())
names = [device.device_kind for device in jax.devices() if gpu]
""",
    "torch": """
import torch
gpu = torch.cuda.is_available()
names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
""",
}
PRINT = "import json; print(json.dumps([names or ['CPU'], gpu]))"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of a table"
    )


def run(options: argparse.Namespace) -> None:
    from training.common import tables

    found = installed_backends()
    if options.json:
        print(json.dumps(found, indent=2))
        return
    rows = [
        (name, facts["version"], ", ".join(facts["devices"]) or facts["error"])
        for name, facts in found["backends"].items()
    ]
    tables.show(("backend", "version", "computes on"), rows, words=("version", "computes on"))
    cards = found["nvidia"]
    print(f"NVIDIA devices of this machine: {', '.join(cards) or 'none'}")
    if cards and nvidia.hidden():
        print("CUDA_VISIBLE_DEVICES hides them from every backend.")
    elif cards:
        for name, facts in found["backends"].items():
            if not facts["gpu"]:
                print(f"{name} cannot use them: {nvidia.REMEDIES[name]}")
        print("docs/gpu.md says what else may be missing.")


def installed_backends() -> dict[str, Any]:
    """Returns the devices of each installed backend, found in processes side by side.

    Returns:
        `{"nvidia": [names], "backends": {name: {"version", "devices", "gpu", "error"}}}`.
    """
    started = {name: _start(name) for name in BACKENDS if util.find_spec(name)}
    return {
        "nvidia": nvidia.devices(),
        "backends": {
            name: {"version": machine.package_version(name) or "?", **_result(process)}
            for name, process in started.items()
        },
    }


def _start(backend: str) -> subprocess.Popen[str]:
    program = PROGRAMS[backend] + PRINT
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _result(process: subprocess.Popen[str]) -> dict[str, Any]:
    try:
        printed, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return {"devices": [], "gpu": False, "error": f"no answer within {SECONDS} s"}
    if process.returncode:
        last = (errors.strip().splitlines() or ["no message"])[-1]
        return {"devices": [], "gpu": False, "error": f"cannot be imported: {last}"}
    names, gpu = json.loads(printed.splitlines()[-1])
    return {"devices": names, "gpu": gpu, "error": ""}
