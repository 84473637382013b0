"""The pages' commands are accepted by the command line, and their Python blocks run."""

from __future__ import annotations

import ast
import operator
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from conftest import CHECKOUT

import keras_resnet
from training import cli

PAGES = [
    CHECKOUT / "README.md",
    CHECKOUT / "CONTRIBUTING.md",
    CHECKOUT / "savedmodels" / "README.md",
    *sorted((CHECKOUT / "docs").rglob("*.md")),
]
COMMAND = re.compile(r"(?:^|[\s`])(?:\.venv/bin/)?python -m training +([a-z][^`|&<>;)]*)")
# A page's placeholders for the reader's own words, and a value for each.
PLACEHOLDERS = {
    "$0": "resnet20",
    "$1": "0",
    "$SLURM_ARRAY_TASK_ID/16": "1/16",
    "$precision": "float32",
    "resnet$depth": "resnet110",
    "$seed": "0",
    "N": "1",
    "SUBJECT": "responses",
}


def commands(path: Path) -> list[tuple[str, list[str]]]:
    """Each command of a page: its text, and the words of its command line."""
    text = re.sub(r" *\\\n\s*", " ", path.read_text())
    text = re.sub(r"`([^`]*)\n\s*([^`]*)`", r"`\1 \2`", text)  # inline code over two lines
    found = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        for match in COMMAND.finditer(line):
            words = shlex.split(match[1], comments=True)
            if not {"…", "..."} & set(words):
                found.append(
                    (match[0].strip("` "), [PLACEHOLDERS.get(word, word) for word in words])
                )
    return found


COMMANDS = [
    pytest.param(words, id=f"{path.relative_to(CHECKOUT)}: {shown}")
    for path in PAGES
    for shown, words in commands(path)
]


def test_pages_have_commands():
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_of_a_page_is_one(words):
    if len(words) == 1:
        assert words[0] in cli.COMMANDS
        return
    if "--help" in words:
        with pytest.raises(SystemExit, match=r"^0$"):
            cli.command_parser(words).parse_args(words)
    else:
        assert cli.command_parser(words).parse_args(words).command == words[0]


FILE = re.compile(r"(?<![\w/])(?:keras_resnet|training|tests|examples)/[\w/]*(?:\.\w+)?")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_files_that_a_page_names_exist(page):
    named = FILE.findall(page.read_text())
    assert [name for name in named if not (CHECKOUT / name).exists()] == []


BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = {
    f"{path.relative_to(CHECKOUT)}-{number}": block
    for path in PAGES
    for number, block in enumerate(BLOCK.findall(path.read_text()), start=1)
}
# Blocks that run here as they stand. The examples' tests run the blocks of their pages; the others
# need published weights or a running server.
RUN = ("docs/results/README.md-1", pytest.param("docs/tuning.md-1", marks=pytest.mark.nightly))


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_names_what_exists(name):
    for node in ast.walk(ast.parse(BLOCKS[name])):
        found = re.fullmatch(r"keras_resnet\.([\w.]+)", ast.unparse(node))
        if found:
            operator.attrgetter(found[1])(keras_resnet)


@pytest.mark.parametrize("name", RUN)
def test_a_block_runs(name, monkeypatch, tmp_path):
    images = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)
    monkeypatch.chdir(tmp_path)
    exec(BLOCKS[name], {"keras_resnet": keras_resnet, "images": images})
