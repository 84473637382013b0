"""The ways in which a command fails, and the exit code of each; standard library only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# The extra of setup.cfg that installs a package; those of `training` are not listed.
EXTRAS = {
    **dict.fromkeys(
        ("tensorflow_serving", "starlette", "uvicorn", "prometheus_client"),
        "serving",
    ),
    **dict.fromkeys(("tf2onnx", "onnx", "onnxruntime", "openvino", "ai_edge_litert"), "export"),
    **dict.fromkeys(("keras_hub", "pycocotools", "django", "polib"), "examples"),
}


class RunError(Exception):
    """A run that ended before its last step; `exit_code` is the process's."""

    exit_code = 1


class DivergedError(RunError):
    """The loss became NaN."""

    exit_code = 3


class PreemptedError(RunError):
    """SIGTERM stopped the run, which has saved itself: the same command continues it."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class InterruptedRunError(RunError):
    """Ctrl-C stopped the run, which has saved itself: the same command continues it."""

    exit_code = 130  # 128 and the number of SIGINT, as shells have it


class WorkerLostError(RunError):
    """Another worker of the run has ended: start the same command again on all of them."""

    exit_code = 75


class UsageError(ValueError):
    """The arguments of a command are wrong, or do not go together: exit code 2, as argparse's."""


@contextmanager
def arguments() -> Iterator[None]:
    """Marks the part of a command that turns its arguments into objects.

    Raises:
        UsageError: In place of each ValueError of the block.
    """
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


def exit_code(command: str, run: Callable[[], object]) -> int:
    """Runs a command; prints what it raises as a message and returns the process's exit code.

    Args:
        command: What follows `python -m` on the command line, such as `training train`.
        run: The command.
    """
    try:
        run()
    except UsageError as error:
        return _say(command, str(error), 2)
    except ModuleNotFoundError as error:
        return _say(command, not_installed(error), 1)
    except (ValueError, OSError) as error:
        return _say(command, str(error), 1)
    except RunError as error:
        return _say(command, str(error), error.exit_code)
    except KeyboardInterrupt:
        return _say(command, "interrupted", 130)
    except Exception as error:
        if not _is_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return _say(
            command,
            f"the memory is too small ({reason}). Use smaller batches: --batch-size, or --set "
            "batch_size=... of commands that train.",
            1,
        )
    return 0


def _is_of_memory(error: Exception) -> bool:
    """Whether an array did not fit into memory, in the words of Python or of a backend."""
    said = f"{type(error).__name__} {error}".lower()
    words = ("resourceexhausted", "resource_exhausted", "outofmemory", "out of memory")
    return isinstance(error, MemoryError) or any(word in said for word in words)


def not_installed(error: ModuleNotFoundError) -> str:
    """Returns the message about a package that a command needs and this Python does not have.

    Raises:
        ModuleNotFoundError: The error itself, if the module is one of this project.
    """
    package = (error.name or "").partition(".")[0]
    if package in ("", "training", "keras_resnet", "examples"):
        raise error
    return (
        f"{package} is not installed for {sys.executable}. Activate the environment that `make "
        "setup` made (`. .venv/bin/activate`), or install what is missing: pip install -e "
        f"'.[{EXTRAS.get(package, 'training')}]'"
    )


def _say(command: str, message: str, code: int) -> int:
    print(f"python -m {command}: {message}", file=sys.stderr)
    return code
