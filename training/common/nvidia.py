"""The NVIDIA devices of this machine, whether or not a backend can use them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

# What makes each backend use an NVIDIA device on Linux; docs/gpu.md says more.
REMEDIES = {
    "tensorflow": "pip install -e '.[training,gpu]', which installs tensorflow[and-cuda]",
    "jax": "pip install -U 'jax[cuda13]' (or jax[cuda12] for an older driver)",
    "torch": "pip install torch from the index that pytorch.org names for your CUDA version",
}
DRIVER, NODES = Path("/proc/driver/nvidia/gpus"), Path("/dev")


def devices() -> list[str]:
    """The names of the NVIDIA devices, by nvidia-smi or by what the driver shows."""
    if program := shutil.which("nvidia-smi"):
        command = [program, "--query-gpu=name", "--format=csv,noheader"]
        try:
            found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
            return found.stdout.split("\n")[:-1]
        except (OSError, subprocess.SubprocessError):
            pass  # no driver, or a damaged one: ask the files below
    names = [
        line.partition(":")[2].strip()
        for file in sorted(DRIVER.glob("*/information"))
        for line in file.read_text().splitlines()
        if line.startswith("Model:")
    ]
    return names or ["NVIDIA device" for _ in NODES.glob("nvidia[0-9]*")]


def hidden() -> bool:
    """Whether the user hides all NVIDIA devices: CUDA_VISIBLE_DEVICES is empty or -1."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1")


def unused(backend: str) -> str:
    """The message about NVIDIA devices that `backend` cannot use."""
    return (
        f"This machine has {', '.join(devices())}, which {backend} as it is installed cannot use: "
        f"it computes on the CPU. To use it: {REMEDIES[backend]}. See docs/gpu.md and `python -m "
        "training devices`; CUDA_VISIBLE_DEVICES=-1 silences this message."
    )
