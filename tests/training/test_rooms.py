"""The rooms of `training/`, and the one direction in which they import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from conftest import CHECKOUT

# A room imports itself and the rooms of earlier lines; rooms of one line do not import each other.
LINES = (
    ("common",),
    ("config",),
    ("data",),
    ("models",),
    ("trainer",),
    ("evaluation",),
    ("export",),
    ("serving", "tuning", "benchmarks"),
    ("paper",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
LINE = {room: line for line, rooms in enumerate(LINES) for room in rooms}
MODULES = sorted((CHECKOUT / "training").rglob("*.py"))
LIBRARY = sorted((CHECKOUT / "keras_resnet").rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """The modules of this project that a file imports, at its top or within a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in ("training", "keras_resnet"))


def room(path: Path) -> str:
    """`data` of `training/data/batches.py`, `cli` of `training/cli.py`."""
    return path.relative_to(CHECKOUT / "training").with_suffix("").parts[0]


def test_rooms_import_in_one_direction():
    against = [
        f"{path.relative_to(CHECKOUT)} imports {name}"
        for path in MODULES
        for name in imported(path)
        if name.startswith("training.") and (other := name.split(".")[1]) != room(path)
        if LINE[other] >= LINE[room(path)]
    ]
    assert against == []


def test_the_library_never_imports_the_application():
    against = [name for path in LIBRARY for name in imported(path) if name.startswith("training")]
    assert against == []


def test_nothing_but_the_entrance_lies_flat():
    flat = {path.stem for path in (CHECKOUT / "training").glob("*.py")}
    assert flat == {"__init__", "__main__", "cli"}
    rooms = {path.parent.name for path in (CHECKOUT / "training").glob("*/__init__.py")}
    assert rooms == set(chain(*LINES)) - {"cli", "__main__"}


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def test_no_cycle():
    files = {module_name(path): path for path in chain(MODULES, LIBRARY)}
    arrows = {
        name: {
            target
            for found in imported(path)
            for target in (found, found.rpartition(".")[0])
            if target in files
            and target != name
            # A package imports its modules, which may name it: `from training.data import batches`.
            and not name.startswith(f"{target}.")
        }
        for name, path in files.items()
    }
    done: set[str] = set()
    while ready := {name for name in arrows if name not in done and arrows[name] <= done}:
        done |= ready
    assert sorted(set(arrows) - done) == []
