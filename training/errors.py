"""How a run can end early, with the exit code of each. No TensorFlow here."""

from __future__ import annotations


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
