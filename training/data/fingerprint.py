"""A run's data in few characters, to be recorded and compared with the data that are there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from training.data.splits import ROLES, ArraySplit, Dataset, FileSplit, Split

CONTENTS = 1000  # files at most that are read, where a data set has more
END = 2**16  # bytes that are read of each, the last: large files do not delay a run


def of(dataset: Dataset) -> dict[str, Any]:
    """A data set's classes and the fingerprint of each of its splits, as plain JSON values.

    A folder that was moved keeps its fingerprint; one with a file more or less, or of another size,
    role or content, does not.
    """
    splits = dataset.splits
    return {
        "class_names": list(dataset.class_names),
        "contents": _contents(dataset),
        **{
            role: of_split(splits[role], dataset.root) if role in splits else None for role in ROLES
        },
    }


def _contents(dataset: Dataset) -> str | None:
    """The SHA-256 of the ends of `CONTENTS` files at equal distances; None without files."""
    splits = (split for split in dataset.splits.values() if isinstance(split, FileSplit))
    paths = [path for split in splits for path in split.paths]
    digest = hashlib.sha256()
    for i in range(0, len(paths), -(-len(paths) // CONTENTS) or 1):
        with Path(paths[i]).open("rb") as file:
            file.seek(-min(END, file.seek(0, os.SEEK_END)), os.SEEK_END)
            digest.update(file.read())
    return digest.hexdigest() if paths else None


def of_split(split: Split, root: Path | None = None) -> str:
    """The images and their labels as `1437 images, sha256 0123456789abcdef`.

    Arrays by their content, files by name and size, records by their data set and instruction.

    Args:
        split: The images.
        root: Files are named relative to it. Default: by their last two parts.
    """
    digest = hashlib.sha256()
    if isinstance(split, ArraySplit):
        digest.update(np.ascontiguousarray(split.images).data)
        digest.update(np.ascontiguousarray(split.labels).data)
    elif isinstance(split, FileSplit):
        for path, label in zip(split.paths, split.labels, strict=True):
            file = Path(path)
            name = f"{file.parent.name}/{file.name}" if root is None else file.relative_to(root)
            line = f"{name} {label} {file.stat().st_size}\n"
            digest.update(line.encode(errors="surrogateescape"))
    else:
        digest.update(f"{split.builder.info.full_name} {split.instruction}".encode())
    return f"{split.examples} images, sha256 {digest.hexdigest()[:16]}"


def differences(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """The differences between two fingerprints of `of`, in words; empty if there are none.

    Args:
        recorded: Of the data that a run was trained on.
        found: Of the data that are there now.
    """
    before, now = recorded.get("class_names", []), found["class_names"]
    said = [f"the class {name} is gone" for name in before if name not in now]
    said += [f"the class {name} is new" for name in now if name not in before]
    if not said and before != now:
        said.append("the classes are in another order")
    for role in ROLES:
        then, today = recorded.get(role) or "no images", found[role] or "no images"
        if then != today:
            said.append(f"{role}: {then} then, {today} now")
    then, today = recorded.get("contents"), found["contents"]
    if not said and then not in (None, today):  # older versions did not record it
        said.append("files of the same names and sizes hold something else")
    return said
