"""The error that tells a sound file that cannot be used from a damaged one."""

from __future__ import annotations


class UnsuitableFileError(ValueError):
    """A weights file is sound, but not what is needed; the message says why, and what to do."""
