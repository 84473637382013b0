"""The rooms of `training/`, and the one direction in which they import each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from conftest import CHECKOUT

# What a package consists of, rooms and modules. Each imports itself and those of earlier lines;
# those of one line do not import each other.
LINES = {
    "training": (
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
    ),
    "training.data": (
        ("splits", "random_order", "shares", "mixing"),
        ("draws", "fingerprint", "pixel_mean"),
        ("decoding",),
        ("augmentation", "streams", "folder", "prepared"),
        ("batches", "datasets"),
        ("probes",),
    ),
}
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


def part(name: str, package: str) -> str:
    """`data` of `training.data.batches` in `training`; "" of what is not in the package."""
    return name.removeprefix(f"{package}.").split(".")[0] if name.startswith(f"{package}.") else ""


@pytest.mark.parametrize("package", LINES)
def test_imports_have_one_direction(package: str):
    line = {name: number for number, names in enumerate(LINES[package]) for name in names}
    against = [
        f"{path.relative_to(CHECKOUT)} imports {name}"
        for path in MODULES
        if (importer := part(module_name(path), package))
        for name in imported(path)
        if (other := part(name, package)) not in ("", importer)
        if line[other] >= line[importer]
    ]
    assert against == []


def test_the_library_never_imports_the_application():
    against = [name for path in LIBRARY for name in imported(path) if name.startswith("training")]
    assert against == []


def test_nothing_but_the_entrance_lies_flat():
    flat = {path.stem for path in (CHECKOUT / "training").glob("*.py")}
    assert flat == {"__init__", "__main__", "cli"}


@pytest.mark.parametrize("package", LINES)
def test_everything_has_its_line(package: str):
    found = {part(module_name(path), package) for path in MODULES} - {""}
    assert found == set(chain(*LINES[package]))


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
