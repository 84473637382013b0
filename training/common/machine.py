"""What a run ran on, in words, for the record beside its numbers. No TensorFlow here."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")  # Linux; elsewhere the platform's own word for it


def now() -> str:
    """This moment, UTC, to the second: `2026-01-31T12:00:00+00:00`."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def hardware(accelerators: Sequence[str] = ()) -> str:
    """Such as `2 CPUs, AMD EPYC` or `16 CPUs, AMD EPYC; 1 x NVIDIA H200`.

    Args:
        accelerators: The accelerators' names, one for each device.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [f"{cpus} CPUs, {_cpu()}"]
    parts += [f"{accelerators.count(name)} x {name}" for name in dict.fromkeys(accelerators)]
    return "; ".join(parts)


def _cpu() -> str:
    if CPUINFO.is_file():
        for line in CPUINFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
