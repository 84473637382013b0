"""Files that are complete or absent, their digests, and locks that end with their process."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which replaces `path` if the block raises nothing.

    Raises:
        OSError: If the file cannot be written, such as on a full disk.
    """
    temporary = path.with_name(f".writing-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # of a full disk, say
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes the text in UTF-8, atomically; names of files in another encoding stay as they are."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes the values as indented JSON, atomically."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Returns the values of a JSON file.

    Raises:
        ValueError: If it is damaged; the message names the file.
        OSError: If it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:  # bytes that are not UTF-8, too
        raise ValueError(f"{path} is damaged: it is not JSON ({error}).") from error


def write_csv(path: Path, rows: Iterable[Iterable[Any]]) -> None:
    """Writes the rows, the first of which is the heading, atomically."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


def sha256(path: Path) -> str:
    """Returns the SHA-256 of the file's content, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def exclusive_lock(lock: Path, refusal: str | None = None) -> Iterator[None]:
    """Holds the lock file; the operating system releases it even when the process is killed.

    Args:
        lock: The file.
        refusal: The message where another process holds it. Default: about a run's directory.

    Raises:
        OSError: If another process holds the lock, or the file cannot be written.
    """
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(
                refusal
                or f"Another process is training in {lock.parent}. Wait for it, or give another "
                "--workdir."
            ) from error
        yield
