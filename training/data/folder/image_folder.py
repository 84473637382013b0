"""A folder of class folders of photographs as a data set: which images it has, and their roles."""

from __future__ import annotations

import hashlib
import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from training.data.decoding.formats.kinds import READ_FORMATS
from training.data.folder import split_file
from training.data.folder.folder_walk import HIDDEN, RUN, images_below, is_hidden, is_run
from training.data.splits import Dataset, FileSplit, LeftOut, listed, subset

logger = logging.getLogger(__name__)

LeftOuts = tuple[LeftOut, ...]

# Names of the folders around class folders, in upper or lower case, by their role.
ROLE_FOLDERS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("val", "valid", "validation", "dev"),
}
EXPECTED = (
    "expected: <class>/* or train/<class>/* and test/<class>/*, at any depth below <class>, at "
    f"least two classes, files that hold {READ_FORMATS}"
)


def load(data_dir: str | None, split: Path | None = None) -> Dataset:
    """Reads `DIR/train/<class>/*` and `DIR/test` or `val`, or splits the images of `DIR/<class>`.

    In the second case a fifth of each class are test images, drawn by their names; every class
    keeps an image to train on, and every class of two or more images has one to test.

    Args:
        data_dir: The folder.
        split: A split file (`training.data.folder.split_file`); it decides over all roles.

    Raises:
        ValueError: If no folder is given, or its folders do not make a data set.
        OSError: If the folder is missing or unreadable.
    """
    if data_dir is None:
        raise ValueError("The data set `folder` needs --data-dir: the folder of class folders.")
    root = Path(data_dir).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root} is not a directory; --data-dir names one of class folders."
        )
    images, left_out = images_below(root)
    if split is not None:
        dataset = split_file.dataset(split, root, images, left_out)
    elif folders := _split_folders(root):
        dataset = _given_split(root, folders, images, left_out)
    else:
        dataset = _class_folders(root, images, left_out)
    _check(dataset, root)
    _report(dataset, root)
    return dataset


def _check(dataset: Dataset, root: Path) -> None:
    if dataset.train.examples == 0:
        raise ValueError(f"{root} has no training images ({EXPECTED}).")
    if dataset.test.examples == 0:
        raise ValueError(
            f"{root} has no test images, to which a class of at least two images gives one; add "
            f"images or a folder test/ ({EXPECTED})."
        )
    for name in dataset.class_names:
        if name.encode(errors="ignore").decode().splitlines() != [name]:
            raise ValueError(
                f"The class folder {name!r} in {root} has a name that no list of classes can "
                "hold, one per line in UTF-8: rename it."
            )
    if len(dataset.class_names) < 2:
        raise ValueError(
            f"{root} has images of one class only, {dataset.class_names[0]} ({EXPECTED})."
        )


def _report(dataset: Dataset, root: Path) -> None:
    """Logs the files that are left out, and the classes without test images."""
    if dataset.left_out:
        total = sum(left_out.files for left_out in dataset.left_out)
        each = listed([str(left_out) for left_out in dataset.left_out], "; ")
        logger.warning("%s: left out %s (files in all: %d)", root, each, total)
    spelt = (unicodedata.normalize("NFKC", name).casefold() for name in dataset.class_names)
    for name in (name for name, count in Counter(spelt).items() if count > 1):
        logger.warning("%s: several classes are called %s in different spellings", root, name)
    untested = dataset.class_counts()["test"] == 0
    if untested.any():
        names = [name for name, none in zip(dataset.class_names, untested, strict=True) if none]
        logger.warning("%s: no test images of %s", root, listed(names))


def _split_folders(root: Path) -> dict[str, Path]:
    """The folders of train, validation and test, by role; empty if `root` has classes itself.

    Raises:
        ValueError: If it is not clear what the folders in `root` are.
    """
    inside = {folder: {path.name for path in _folders(folder)} for folder in _folders(root)}
    found = {
        role: [folder for folder in inside if folder.name.lower() in names]
        for role, names in ROLE_FOLDERS.items()
    }
    if any(inside[folder] for folder in found["train"]):
        for several in found.values():
            if len(several) > 1:
                names = " and ".join(f"{folder.name}/" for folder in several)
                raise ValueError(f"{root} has {names}: rename or merge one of the two.")
        given = {role: folders[0] for role, folders in found.items() if folders}
        if len(given) > 1:
            return given
        if len(inside) == 1:
            name = given["train"].name
            raise ValueError(
                f"{root} has {name}/ but neither test/ nor val/ nor validation/. Add one, or give "
                f"--data-dir {root / name} to hold out a fifth of its images."
            )
    for folder in inside:
        alike = [other for other in inside if inside[folder] & inside[other] and other != folder]
        if folder.name.lower().startswith("train") and alike:
            shared = sorted(inside[folder] & inside[alike[0]])
            raise ValueError(
                f"{root} has {listed(shared)} in {folder.name}/ and in {alike[0].name}/. If these "
                "are the classes, name the folders around them train/, val/ and test/; if not, "
                f"rename {folder.name}/, or give --split."
            )
    return {}


def _folders(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not is_hidden(path) and not is_run(path)
    )


def _given_split(
    root: Path, given: Mapping[str, Path], images: Sequence[Path], left_out: LeftOuts
) -> Dataset:
    """The data set of split folders; its validation images test where there are no others."""
    found = {role: _by_class(folder, images) for role, folder in given.items()}
    for role, by_class in found.items():
        left_out += _classless_folders(given[role], by_class, left_out, root)
    class_names = sorted(found["train"])
    unknown = [
        f"{given[role].name}/{label}"
        for role, by_class in found.items()
        for label in sorted(by_class.keys() - found["train"].keys())
    ]
    if unknown:
        raise ValueError(f"{root} has no training images for the images in {listed(unknown)}.")
    splits = {role: _file_split(by_class, class_names) for role, by_class in found.items()}
    left_out += _outside(root, images, list(splits.values()))
    if "test" not in splits:
        splits["test"] = splits.pop("validation")
    return Dataset(
        name="folder",
        class_names=tuple(class_names),
        image_shape=None,
        train=splits["train"],
        validation=splits.get("validation"),
        test=splits["test"],
        root=root,
        left_out=left_out,
    )


def _class_folders(root: Path, images: Sequence[Path], left_out: LeftOuts) -> Dataset:
    by_class = _by_class(root, images)
    left_out += _classless_folders(root, by_class, left_out, root)
    class_names = sorted(by_class)
    every = _file_split(by_class, class_names)
    held_out = np.zeros(every.examples, bool)
    for label in range(len(class_names)):
        places = np.flatnonzero(every.labels == label)
        names = [Path(every.paths[i]).relative_to(root).as_posix() for i in places]
        held_out[places] = drawn_for_test(names)
    logger.info(
        "%s: no train/ and test/ in it; %d of its %d images are held out as test images",
        root,
        held_out.sum(),
        every.examples,
    )
    return Dataset(
        name="folder",
        class_names=tuple(class_names),
        image_shape=None,
        train=subset(every, ~held_out),
        validation=None,
        test=subset(every, held_out),
        root=root,
        left_out=left_out + _outside(root, images, [every]),
    )


def drawn_for_test(names: Sequence[str]) -> np.ndarray:
    """Draws the test images of one class, a fifth of it: bool (N,); the others train.

    The images of the smallest hashes test, one at least if the class has two. So the draw needs no
    seed, and a new image changes the role of one other image at most.

    Args:
        names: The images' paths relative to the data set's folder, with forward slashes.
    """
    count = max(round(len(names) / 5), min(1, len(names) - 1))
    digests = [hashlib.sha256(os.fsencode(name)).digest() for name in names]
    held_out = np.zeros(len(names), bool)
    held_out[sorted(range(len(names)), key=digests.__getitem__)[:count]] = True
    return held_out


def _by_class(folder: Path, images: Sequence[Path]) -> dict[str, list[Path]]:
    """The images below `folder`, by the folder in it that they lie in."""
    found: dict[str, list[Path]] = {}
    depth = len(folder.parts)
    for path in images:
        if path.parts[:depth] == folder.parts and len(path.parts) > depth + 1:
            found.setdefault(path.parts[depth], []).append(path)
    return found


def _file_split(by_class: Mapping[str, Sequence[Path]], class_names: Sequence[str]) -> FileSplit:
    paths = [str(path) for name in class_names for path in by_class.get(name, ())]
    counts = [len(by_class.get(name, ())) for name in class_names]
    labels = np.repeat(np.arange(len(class_names), dtype=np.int32), counts)
    return FileSplit(np.array(paths, dtype=object), labels)


def _classless_folders(
    folder: Path, by_class: Mapping[str, Sequence[Path]], left_out: LeftOuts, root: Path
) -> LeftOuts:
    """The empty ones of the class folders in `folder`.

    Raises:
        ValueError: If one has files but no image: its class would disappear.
    """
    empty: LeftOuts = ()
    for path in _folders(folder):
        name = path.relative_to(root).as_posix()
        if path.name in by_class:
            continue
        unread = [
            other
            for other in left_out
            if other.reason not in (HIDDEN, RUN) and f"{other.folder}/".startswith(f"{name}/")
        ]
        if unread:
            raise ValueError(
                f"The class folder {path} has no image that can be read "
                f"({listed([str(other) for other in unread], '; ')}). Convert its files to "
                f"{READ_FORMATS}, or move the folder away if it is no class."
            )
        empty += (LeftOut(name, 0, "an empty folder"),)
    return empty


def _outside(root: Path, images: Sequence[Path], splits: Sequence[FileSplit]) -> LeftOuts:
    """The images that lie in no class folder."""
    used = {path for split in splits for path in split.paths}
    folders = Counter(
        path.parent.relative_to(root).as_posix() for path in images if str(path) not in used
    )
    return tuple(LeftOut(name, count, "in no class folder") for name, count in folders.items())
