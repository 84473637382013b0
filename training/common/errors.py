"""How a run can end early, with the exit code of each. No TensorFlow here."""

from __future__ import annotations

import sys
from collections.abc import Callable


class RunError(Exception):
    """A run that ended before its last step; `exit_code` is the process's."""

    exit_code = 1


class DivergedError(RunError):
    """The loss is no longer a number."""

    exit_code = 3


class PreemptedError(RunError):
    """The run was asked to stop (SIGTERM) and has saved itself: run the same command again."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class WorkerLostError(RunError):
    """Another worker of the run is gone: run the same command again on all of them."""

    exit_code = 75


def exit_code(command: str, run: Callable[[], object]) -> int:
    """Runs a command; what it raises becomes a message on the standard error and an exit code."""
    try:
        run()
    except (ValueError, OSError) as error:
        print(f"python -m training {command}: {error}", file=sys.stderr)
        return 1
    except RunError as error:
        print(f"python -m training {command}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0
