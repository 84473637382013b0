"""The end of a process in which tf.data still computes."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn


def run_as_process(main: Callable[[], int]) -> NoReturn:
    """Runs `main`, and ends the process with the code that it returns.

    A thread of tf.data that calls Python while Python ends waits for Python's lock for ever, and
    the process with it: three of six ends of a process with a small endless stream. So the process
    ends once `atexit` has called what was registered since, and Python itself is not taken down.
    """
    code = 1  # of an exception that nobody expects, after Python has printed it

    def leave() -> None:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:  # nobody reads a closed pipe
                continue
        os._exit(code)

    atexit.register(leave)  # the first, which runs last
    atexit.register(logging.shutdown)
    try:
        code = main()
    except SystemExit as ended:  # of argparse, whose codes are 0 and 2
        code = int(ended.code or 0)
    sys.exit(code)
