"""The image files below a folder, told by their content, and what else lies there."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from training.data.decoding.formats.kinds import HEADER_BYTES, kind, unread_kind
from training.data.splits import LeftOut

READERS = 16  # threads that open files, since a network disk takes milliseconds for each
# What programs leave in people's folders, beside names that begin with a dot.
LITTER = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir"})
HIDDEN, BROKEN_LINK, LOOP = "hidden", "broken links", "a link to a folder around it"
RUN = "a run of `train`"


def images_below(root: Path) -> tuple[list[Path], tuple[LeftOut, ...]]:
    """Finds the image files below `root` at any depth.

    An image is a file whose first bytes are those of a format that is read, whatever its name ends
    with. Symbolic links are followed, except for one to a folder that the link itself lies in. The
    directories of runs are passed over: their curves are images, too.

    Returns:
        The images, sorted by their path; and the other files, counted by folder and reason.

    Raises:
        OSError: If a folder or a file cannot be read.
    """
    found = list(_walk(root, (os.path.realpath(root),)))
    with ThreadPoolExecutor(READERS) as pool:
        reasons = list(pool.map(_reason_to_leave_out, found))
    images = sorted(path for path, reason in zip(found, reasons, strict=True) if reason is None)
    others = Counter(
        (path.parent.relative_to(root).as_posix(), reason)
        for path, reason in zip(found, reasons, strict=True)
        if reason is not None
    )
    left_out = tuple(LeftOut(folder, count, why) for (folder, why), count in sorted(others.items()))
    return images, left_out


def is_hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name in LITTER


def is_run(folder: Path) -> bool:
    """Whether this is the directory of a run of `train`."""
    return (folder / "job.json").is_file()


def _walk(folder: Path, around: tuple[str, ...]) -> Iterator[Path]:
    """Every file below `folder`; a folder that is not entered stands for itself."""
    for name in os.listdir(folder):
        path = folder / name
        if not path.is_dir() or is_hidden(path) or is_run(path):
            yield path
            continue
        real = os.path.realpath(path)
        if real in around:
            yield path
        else:
            yield from _walk(path, (*around, real))


def _reason_to_leave_out(path: Path) -> str | None:
    """Why this is no image of the data set, or None if it is one."""
    if is_hidden(path):
        return HIDDEN
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return BROKEN_LINK
        raise
    if stat.S_ISDIR(mode):
        return RUN if is_run(path) else LOOP
    if not stat.S_ISREG(mode):
        return "no regular file"  # to open a named pipe would wait for its writer
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    return None if kind(header) else unread_kind(header)
