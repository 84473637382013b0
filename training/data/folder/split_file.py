"""`split.csv`: which files of a folder train, validate and test, so that no one draws them again.

A row for each image: `file` (relative to the data set's folder, with forward slashes), `class`,
`role` (`train`, `validation` or `test`), and `bytes`, the file's size, by which an image is known
again in another folder. Your own file may leave `bytes` out.
"""

from __future__ import annotations

import csv
import filecmp
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from training.common.files import write_csv
from training.data.splits import ROLES, Dataset, FileSplit, LeftOut, listed

FILE_NAME = "split.csv"
COLUMNS = ("file", "class", "role", "bytes")
REQUIRED = COLUMNS[:3]
# Of more training images, so many have the size of a tested one that to compare them takes minutes.
MOST_COMPARED = 100_000


@dataclass(frozen=True)
class Row:
    """One image of a split file."""

    file: str
    class_name: str
    role: str  # one of ROLES
    size: int | None  # bytes


def write(dataset: Dataset, path: Path) -> None:
    """Writes the roles of a folder's images, which `datasets.load(..., split_file=path)` reads.

    Raises:
        ValueError: If the images are not files of a folder.
        OSError: If the file cannot be written.
    """
    write_csv(
        path, [COLUMNS, *([row.file, row.class_name, row.role, row.size] for row in rows(dataset))]
    )


def rows(dataset: Dataset) -> list[Row]:
    """The roles of a folder's images, in the order of its splits.

    Raises:
        ValueError: If the images are not files of a folder.
    """
    if dataset.root is None:
        raise ValueError(f"A split file is for a folder of image files; {dataset.name} is not one.")
    return [
        Row(
            Path(path).relative_to(dataset.root).as_posix(),
            dataset.class_names[label],
            role,
            Path(path).stat().st_size,
        )
        for role, split in dataset.splits.items()
        if isinstance(split, FileSplit)
        for path, label in zip(split.paths, split.labels, strict=True)
    ]


def read(path: Path) -> list[Row]:
    """The rows of a split file.

    Raises:
        ValueError: If it lacks a column, or a row is not as the module says, by its line; or if it
            is no CSV file.
        OSError: If it cannot be read.
    """
    found: dict[str, Row] = {}
    if not path.is_file():
        raise FileNotFoundError(f"There is no split file {path}.")
    with path.open(encoding="utf-8-sig", newline="", errors="surrogateescape") as file:
        reader = csv.DictReader(file)
        lacking = set(REQUIRED) - set(reader.fieldnames or ())
        if lacking:
            raise ValueError(
                f"{path} has no column {listed(sorted(lacking))}; a split file begins with the "
                f"line {','.join(REQUIRED)}."
            )
        try:
            for line in reader:
                where = f"{path}, line {reader.line_num}"
                row = _row(line, where)
                if row.file in found:
                    raise ValueError(f"{where}: {row.file} is there twice.")
                found[row.file] = row
        except csv.Error as error:  # such as a quotation mark that is never closed
            where = f"{path}, line {reader.line_num}"
            raise ValueError(f"{where}, is not a row of a CSV file: {error}.") from error
    return list(found.values())


def _row(line: dict[str, str | None], where: str) -> Row:
    size = (line.get("bytes") or "").strip()
    texts = [line[column] or "" for column in REQUIRED]
    # People write spaces around commas; a run, which writes sizes too, writes names as they are.
    file, class_name, role = texts if size else (text.strip() for text in texts)
    if not file or not class_name or (size and not size.isdecimal()):
        raise ValueError(f"{where} is not a file, its class and its role.")
    if role not in ROLES:
        raise ValueError(f"{where}: the role is one of {', '.join(ROLES)}; given {role!r}.")
    place = PurePosixPath(file)
    if place.is_absolute() or ".." in place.parts:
        raise ValueError(f"{where}: {file} is not a path relative to the data set's folder.")
    return Row(place.as_posix(), class_name, role, int(size) if size else None)


def dataset(
    path: Path, root: Path, images: Sequence[Path], left_out: tuple[LeftOut, ...]
) -> Dataset:
    """The folder's images in the roles of a split file, in its order.

    Args:
        path: The split file.
        root: The folder.
        images: The images below `root`; those that the split file lacks are left out.
        left_out: What else lies below `root`.

    Raises:
        ValueError: If a row's file is no image of the folder, or a class has no training image.
        OSError: If the split file cannot be read.
    """
    given = read(path)
    there = {image.relative_to(root).as_posix() for image in images}
    missing = [row.file for row in given if row.file not in there]
    if missing:
        raise ValueError(
            f"{path} names {len(missing)} files that are no images in {root}: {listed(missing)}. "
            "Give --data-dir the folder that it was written for, or remove these rows."
        )
    for role in ("train", "test"):
        if role not in {row.role for row in given}:
            raise ValueError(f"{path} has no row of the role {role}: give some images that role.")
    class_names = sorted({row.class_name for row in given})
    trained = {row.class_name for row in given if row.role == "train"}
    if untrained := [name for name in class_names if name not in trained]:
        raise ValueError(f"{path} has no training image of {listed(untrained)}.")
    numbers = {name: number for number, name in enumerate(class_names)}

    def split(role: str) -> FileSplit:
        of_role = [row for row in given if row.role == role]
        paths = np.array([str(root / row.file) for row in of_role], dtype=object)
        return FileSplit(paths, np.array([numbers[row.class_name] for row in of_role], np.int32))

    validation = split("validation")
    unnamed = Counter(
        PurePosixPath(name).parent.as_posix()
        for name in sorted(there - {row.file for row in given})
    )
    reason = f"not in {path.name}"
    return Dataset(
        name="folder",
        class_names=tuple(class_names),
        image_shape=None,
        train=split("train"),
        validation=validation if validation.examples else None,
        test=split("test"),
        root=root,
        left_out=left_out + tuple(LeftOut(name, count, reason) for name, count in unnamed.items()),
    )


def changes(recorded: Sequence[Row], found: Sequence[Row]) -> list[str]:
    """How the files of two splits differ, in words; empty if only their order does."""
    before, now = ({row.file: row for row in rows} for rows in (recorded, found))
    changed = {
        "files that are gone": [name for name in before if name not in now],
        "new files": [name for name in now if name not in before],
        "files of another class, role or size": [
            name for name in before if name in now and before[name] != now[name]
        ],
    }
    return [f"{what}: {listed(names, at_most=3)}" for what, names in changed.items() if names]


def trained_on(recorded: Sequence[Row], split: FileSplit, folder: Path) -> int:
    """Counts the images of a split that a model was trained on.

    An image is known again by its content, under any name, if the training images are in `folder`
    and are at most `MOST_COMPARED`; else by its folder's name, its own and its size.

    Args:
        recorded: Of the model's run: `read(run / FILE_NAME)`.
        split: The images that the model is to be tested on.
        folder: The data set's folder.
    """
    trained = [row for row in recorded if row.role == "train"]
    named = {(PurePosixPath(row.file).parts[-2:], row.size) for row in trained}
    of_size = defaultdict(list)
    for row in trained if len(trained) <= MOST_COMPARED else ():
        of_size[row.size].append(folder / row.file)

    def known(path: Path) -> bool:
        size = path.stat().st_size
        there = [other for other in of_size.get(size, ()) if other.is_file()]
        if there:
            return any(filecmp.cmp(path, other, shallow=False) for other in there)
        return (path.parts[-2:], size) in named

    return sum(known(Path(path)) for path in split.paths)
