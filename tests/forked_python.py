"""Python programs in forks of a process that has imported a backend and the training.

Those imports take 3 to 7 s of processor time, a fork none. The process that is forked has run no
operation of the backend, whose threads a fork would lack.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.machinery import PathFinder

from conftest import CHECKOUT

from training.common import environment
from training.common.keras_import import import_keras

MODULES = ("training.commands.train", "training.trainer.train", "training.trainer.curve")
# JAX compiles sooner and computes more slowly, and keeps every program for the next process.
VARIABLES = {
    **environment.TRAINING,
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}


class WithoutTensorFlow(PathFinder):
    """Finds neither TensorFlow nor what needs it."""

    ABSENT = ("tensorflow", "tensorflow_datasets", "keras_tuner", "tensorboard", "sklearn")

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name.partition(".")[0] in cls.ABSENT
        return None if absent else super().find_spec(name, path, target)


class Program:
    """A running `python ARGUMENTS`, with what the tests need of `subprocess.Popen`.

    Args:
        arguments: As on Python's command line: `-m MODULE ...`, `-c CODE ...` or `FILE ...`.
        variables: All environment variables. `KERAS_BACKEND` names the backend; TensorFlow is not
            to be found if there is `WITHOUT_TENSORFLOW`.
    """

    def __init__(self, arguments: Sequence[str], variables: Mapping[str, str]) -> None:
        self.returncode: int | None = None
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115  # open as long as the program
        reading, writing = os.pipe()
        # XLA's newer generator of fused loops doubles the time to compile.
        flags = f"{variables.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false"
        request = json.dumps([arguments, {**variables, "XLA_FLAGS": flags}, os.getcwd()]).encode()
        server = _server(variables.get("KERAS_BACKEND", "tensorflow"))
        socket.send_fds(server, [request], [self._output.fileno(), writing])
        os.close(writing)
        self._status = os.fdopen(reading)
        self.pid = int(self._status.readline())

    def poll(self) -> int | None:
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        """Returns the exit code, or `None` if the program still runs after `timeout` seconds."""
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            self.returncode = int(self._status.readline())
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Waits for the end; returns standard output and error."""
        if self.wait(timeout) is None:
            self.kill()
            raise subprocess.TimeoutExpired("python", timeout or 0)
        self._output.seek(0)
        return self._output.read(), None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@functools.cache
def _server(backend: str) -> socket.socket:
    """Starts the process that is forked; returns the socket of its requests."""
    requests, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    programs = tempfile.TemporaryDirectory()
    atexit.register(programs.cleanup)
    own = {"KERAS_BACKEND": backend, "JAX_COMPILATION_CACHE_DIR": programs.name}
    # In the checkout `training` is the package, not the folder of its tests.
    own["PYTHONPATH"] = str(CHECKOUT)
    variables = {**os.environ, **VARIABLES, **own}
    process = subprocess.Popen([sys.executable, __file__], stdin=its_end, env=variables)
    its_end.close()
    atexit.register(process.wait)
    atexit.register(requests.close)  # which ends the process
    return requests


def _serve(requests: socket.socket, backend: str) -> None:
    """Starts a program for each request, until the tests end; returns as the program."""
    if backend != "tensorflow":  # the modules below take what they find
        _exchange(PathFinder, WithoutTensorFlow)
    import_keras()
    of_backend = "tensorflow_backend" if backend == "tensorflow" else "jax_torch_backend"
    for name in (*MODULES, f"training.trainer.backends.{of_backend}"):
        importlib.import_module(name)
    while True:
        request, files, _, _ = socket.recv_fds(requests, 2**20, 2)
        if not request:
            sys.exit()
        if os.fork() == 0:
            return _become(*json.loads(request), *files)
        for file in files:
            os.close(file)


def _become(
    arguments: Sequence[str],
    variables: Mapping[str, str],
    directory: str,
    output: int,
    status: int,
) -> None:
    """Runs the program in a fork; reports the id of its process and, at the end, its exit code."""
    program = os.fork()
    if program:
        os.close(output)
        os.write(status, f"{program}\n".encode())
        os.write(status, f"{os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])}\n".encode())
        os._exit(0)
    os.close(status)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for standard in (1, 2):
        os.dup2(output, standard)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(variables)
    if WithoutTensorFlow in sys.meta_path and "WITHOUT_TENSORFLOW" not in variables:
        _exchange(WithoutTensorFlow, PathFinder)
    _run(*arguments)


def _exchange(finder: type[PathFinder], other: type[PathFinder]) -> None:
    sys.meta_path[sys.meta_path.index(finder)] = other


def _run(first: str, *others: str) -> None:
    """Does what `python ARGUMENTS` does."""
    if first == "-m":
        sys.argv = list(others)
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *others[1:]]
        exec(others[0], {"__name__": "__main__"})
    else:
        sys.argv = [first, *others]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    _serve(socket.socket(fileno=0), os.environ["KERAS_BACKEND"])
