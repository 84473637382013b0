"""Commands of this checkout in processes of their own, so that a crash ends only one of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]


def start(arguments: Sequence[str], log_file: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Starts `python -m ARGUMENTS` with the modules of this checkout.

    Args:
        arguments: The module and its arguments.
        log_file: The file that the process's output is appended to.
        options: Further ones of `subprocess.Popen`.
    """
    path = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    with log_file.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env={**os.environ, "PYTHONPATH": path},
            stdout=log,
            stderr=subprocess.STDOUT,
            **options,
        )


@contextmanager
def forwarded_sigterm(process: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Forwards SIGTERM to a process; ends it when the block raises, such as by Ctrl-C.

    Yields:
        A list to which every received signal is appended.
    """
    received: list[int] = []

    def forward(number: int, frame: object) -> None:
        received.append(number)
        process.terminate()

    before = signal.signal(signal.SIGTERM, forward)
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)
        if process.poll() is None:
            process.terminate()
            process.wait()
