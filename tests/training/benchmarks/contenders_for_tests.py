"""Contenders for test_benchmark.py, which runs them in processes of their own."""

from __future__ import annotations

import os
import subprocess
import time
from itertools import count
from pathlib import Path


def counting(name, log):
    """1, 2, 3, ...; writes down who had a turn, and in which process."""
    numbers = count(1)

    def repeat():
        with Path(log).open("a") as file:
            file.write(f"{name} {os.getpid()}\n")
        return next(numbers)

    return repeat


def loud():
    print("preparing")

    def repeat():
        print("{}\n[1, 2")
        os.system("echo from a child")
        return 7

    return repeat


def busy(log):
    """The number of ticks of a child process."""
    program = f"while sleep 0.1; do echo >> {log}; done"
    subprocess.Popen(["sh", "-c", program])
    Path(log).touch()
    return lambda: len(Path(log).read_text())


def sleeping(seconds):
    return lambda: time.sleep(seconds) or 1


def broken():
    raise ValueError("no such thing")


def tiring():
    numbers = iter([1.0])

    def repeat():
        for number in numbers:
            return number
        raise ValueError("tired")

    return repeat


def flag():
    return lambda: float(os.environ.get("TF_ENABLE_ONEDNN_OPTS", "-1"))
