"""Trains one trial in a process of its own, so that its crash does not end the search.

The search starts `python -m training.tuning.trial_process ORDER.json`, which calls `train`. The
trial's standard input is a pipe that the search holds open: when the search ends, even by a kill,
the pipe closes and the trial ends with it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.common import child_processes
from training.common.errors import PreemptedError, exit_code
from training.common.files import write_json
from training.common.keras_import import import_keras
from training.common.process_end import run_as_process


@dataclass(frozen=True)
class Order:
    """The task of a trial's process."""

    job: dict[str, Any]  # the fields of `jobs.values`, and data_dir
    workdir: str  # absolute
    pause_after: int | None  # epochs; None: train to the end
    strategy: str
    checkpoint_steps: int
    deterministic: bool


def start(order: Order, order_file: Path, log_file: Path) -> int:
    """Runs the order to its end and forwards SIGTERM to its process.

    Args:
        order: What to do.
        order_file: Where to write the order.
        log_file: The file that the process's output is appended to.

    Returns:
        The exit code; the negative number of a signal that ended the process.
    """
    write_json(order_file, asdict(order))
    process = child_processes.start(
        ["training.tuning.trial_process", str(order_file)],
        log_file,
        stdin=subprocess.PIPE,
        start_new_session=True,  # so that Ctrl-C reaches the search alone
    )
    with process, child_processes.forwarded_sigterm(process):
        return process.wait()


def failure_reason(code: int, log_file: Path) -> str:
    """Returns in one line why a trial failed."""
    if code < 0:
        name = signal.Signals(-code).name
        hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    lines = [line for line in log_file.read_text(errors="replace").splitlines() if line.strip()]
    if not lines:
        return f"its process ended with exit code {code}"
    return lines[-1].strip().removeprefix("python -m training tune: ")


def _end_with_the_search() -> None:
    def wait() -> None:
        os.read(0, 1)  # not sys.stdin, whose lock would keep the interpreter from ending
        os._exit(PreemptedError.exit_code)  # safe, since a run may be killed at any moment

    threading.Thread(target=wait, daemon=True).start()


def _train(order_file: Path) -> None:
    import_keras()  # before all that imports it plainly, which takes longer and is not silent
    from training.config import jobs
    from training.trainer import backends
    from training.trainer.train import Options, train

    order = Order(**json.loads(order_file.read_text()))
    if order.deterministic:
        backends.make_deterministic()
    train(
        jobs.of_values(order.job),
        Path(order.workdir),
        strategy=backends.strategy(order.strategy),
        options=Options(
            checkpoint_steps=order.checkpoint_steps,
            pause_after=order.pause_after,
            measure_test=False,
        ),
    )


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for noisy in ("absl", "tensorflow"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    _end_with_the_search()
    order = Path(sys.argv[1])
    return exit_code("training tune", lambda: _train(order))


if __name__ == "__main__":
    run_as_process(main)
