"""The machine and the time, for the records of runs and benchmarks; standard library only."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")  # of Linux; other systems are asked by `platform`
# The vector and matrix instructions that inference libraries choose their kernels by.
INSTRUCTIONS = (
    *("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16"),
    *("amx_tile", "amx_bf16", "amx_int8"),
)


def now() -> str:
    """Returns the time, UTC, to the second: `2026-01-31T12:00:00+00:00`."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def hardware(accelerators: Sequence[str] = ()) -> str:
    """Returns such as `2 CPUs, AMD EPYC` or `16 CPUs, AMD EPYC; 1 x NVIDIA H200`.

    Args:
        accelerators: The accelerators' names, one for each device.
    """
    parts = [f"{cpus()} CPUs, {processor()}"]
    parts += [f"{accelerators.count(name)} x {name}" for name in dict.fromkeys(accelerators)]
    return "; ".join(parts)


def cpus() -> int:
    """Returns the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """Returns the name of the processor."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def instructions() -> list[str]:
    """Returns those of `INSTRUCTIONS` that the processor has, as far as Linux says."""
    flags = _cpuinfo().get("flags", "").split()
    return [name for name in INSTRUCTIONS if name in flags]


def package_version(name: str) -> str | None:
    """Returns the version of an installed package; `tensorflow` may be that of tensorflow-cpu.

    Args:
        name: The package's name, or that of the module that it installs.
    """
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        if importlib.util.find_spec(name) is None:
            return None
        names = metadata.packages_distributions().get(name)
        return metadata.version(names[0]) if names else None


def _cpuinfo() -> Mapping[str, str]:
    """Returns what Linux says about the first CPU."""
    if not CPUINFO.is_file():
        return {}
    lines = CPUINFO.read_text().partition("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}
