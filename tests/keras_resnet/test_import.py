"""The modules that importing loads, and the signatures and docstrings of the public names."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import keras_resnet
from keras_resnet import ARCHITECTURES

IMPORTS = """
import json
import sys
import keras
before = set(sys.modules)
import keras_resnet
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""
EXTRAS = {"shortcut": None, "version": None, "zero_init_residual": None, "scan": False}
NAMED = [name for name in keras_resnet.__all__ if name.lower() in ARCHITECTURES]
PLACE = re.compile(r"Table \d|Fig\. \d|[Ss]ection \d")


@pytest.mark.slow
def test_importing_adds_nothing_to_keras_but_the_standard_library():
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "KERAS_BACKEND": "numpy",  # with which Keras itself imports the least
    }
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    added = set(json.loads(done.stdout.splitlines()[-1]))
    assert "keras_resnet" in added
    assert added - {"keras_resnet", "numpy"} <= set(sys.stdlib_module_names)


def test_every_public_name_exists_once():
    assert len(set(keras_resnet.__all__)) == len(keras_resnet.__all__)
    for name in keras_resnet.__all__:
        assert hasattr(keras_resnet, name)


def test_every_row_of_the_table_has_its_constructor():
    assert sorted(name.lower() for name in NAMED) == sorted(ARCHITECTURES)


@pytest.mark.parametrize("name", NAMED)
def test_signatures_are_those_of_keras_applications(name):
    ours = inspect.signature(getattr(keras_resnet, name)).parameters
    theirs = inspect.signature(keras.applications.ResNet50).parameters
    shared = [argument for argument in ours.values() if argument.kind != argument.KEYWORD_ONLY]
    assert [argument.name for argument in shared] == list(theirs)
    architecture = ARCHITECTURES[name.lower()]
    own = {"weights", "classes", "name"}  # by network, and by the weights there are
    assert [(a.name, a.default) for a in shared if a.name not in own] == [
        (a.name, a.default) for a in theirs.values() if a.name not in own
    ]
    assert ours["name"].default == architecture.name
    assert ours["classes"].default == (1000 if architecture.stem == "imagenet" else 10)
    extras = {argument.name: argument.default for argument in ours.values()}
    assert {extra: extras[extra] for extra in EXTRAS} == EXTRAS
    assert len(ours) == len(theirs) + len(EXTRAS)


@pytest.mark.parametrize("name", NAMED)
def test_docstrings_name_the_place_in_the_paper_and_every_argument(name):
    constructor = getattr(keras_resnet, name)
    assert constructor.__name__ == name
    text = inspect.getdoc(constructor)
    first_line = text.splitlines()[0]
    assert PLACE.search(first_line)
    assert str(ARCHITECTURES[name.lower()].depth) in first_line
    for argument in inspect.signature(constructor).parameters:
        assert f"\n    {argument}: " in text
    for heading in ("Args:", "Returns:", "Raises:"):
        assert heading in text
    assert not re.search(r"[{}]", text), "an unfilled place"


@pytest.mark.parametrize(
    "name", [name for name in keras_resnet.__all__ if name not in (*NAMED, "ARCHITECTURES")]
)
def test_the_other_public_names_are_documented(name):
    assert len(inspect.getdoc(getattr(keras_resnet, name))) > 40
