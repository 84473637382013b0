"""Starts `python -m training train` in processes of its own, as a user would."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from forked_python import Program

CHECKOUT = Path(__file__).parents[2]

# Two devices, which a machine without GPUs can have too, and the unchanged command line.
TWO_DEVICES = """
import sys, tensorflow as tf
from training.cli import main
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.exit(main(sys.argv[1:]))
"""


# Every worker predicts the same five rows, which two workers cannot divide evenly.
PREDICT = """
import sys, keras, numpy as np
from training.trainer.backends import distribution
strategy = distribution.choose("multi_worker")
keras.utils.set_random_seed(0)
with strategy.scope():
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model = distribution.distributed(net)
    model.compile("sgd", "mse")
rows = np.arange(20, dtype="float32").reshape(5, 4)
np.savez(sys.argv[1], *model.get_weights(), rows=rows, predicted=model.predict(rows, verbose=0))
"""


def start(
    workdir: Path,
    *arguments: str,
    two_devices: bool = False,
    cluster: tuple[Sequence[int], int] | None = None,
) -> Program:
    """A small run on the digits; `cluster` is (the workers' ports, this worker's index)."""
    program = ["-c", TWO_DEVICES] if two_devices else ["-m", "training"]
    what = ["train", "--network=resnet8", "--dataset=digits", f"--workdir={workdir}"]
    return run([*program, *what, "--deterministic", *arguments], cluster)


def run(
    arguments: Sequence[str],
    cluster: tuple[Sequence[int], int] | None = None,
    **variables: str,
) -> Program:
    """Starts Python with these arguments and environment variables, as a worker of the cluster."""
    given = {"PYTHONPATH": str(CHECKOUT), "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    environment = {**os.environ, **given}
    environment.pop("TF_CONFIG", None)
    if cluster is not None:
        ports, index = cluster
        environment["TF_CONFIG"] = json.dumps(
            {
                "cluster": {"worker": [f"127.0.0.1:{port}" for port in ports]},
                "task": {"type": "worker", "index": index},
            }
        )
    return Program(arguments, environment)


def finish(process: Program, seconds: float = 300) -> str:
    """Waits until the process has ended well; returns what it printed."""
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, output
    return output


def wait_for_checkpoints(process: Program, workdir: Path, number: int = 1) -> None:
    """Waits until a running process has written `number` checkpoints into `workdir`."""
    deadline = time.monotonic() + 240
    while len(list((workdir / "checkpoints").glob("step-*.npz"))) < number:
        assert time.monotonic() < deadline, "no checkpoint within four minutes"
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def last_checkpoint(workdir: Path) -> dict[str, np.ndarray]:
    """Everything in the newest checkpoint: weights, slots, metrics, and the state's JSON."""
    newest = max((workdir / "checkpoints").glob("step-*.npz"))
    with np.load(newest) as file:
        return {name: file[name] for name in file.files} | {"file": np.array(newest.name)}
