"""Keeps different searches out of one directory: keras-tuner would mix their trials."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.common.files import write_json
from training.config import recipes

FILE_NAME = "search.json"
PATIENCE_SECONDS = 600  # for which a worker waits while its chief reads the data


def claim(directory: Path, mine: Mapping[str, Any], first: bool) -> None:
    """Writes the description of a search into its directory, or checks that it is the same.

    Args:
        directory: The search's directory.
        mine: The description, as plain JSON values, nested once at most; "recipe" has its fields.
        first: Whether this process may write; a worker waits until its chief has written.

    Raises:
        ValueError: If the directory holds another search.
        OSError: If the chief does not write within ten minutes.
    """
    path = directory / FILE_NAME
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not first and not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} has not been written: is the chief of this search running?")
        time.sleep(0.5)
    if not path.exists():
        write_json(path, dict(mine))
        return
    there = json.loads(path.read_text())
    # A search of an older version has the default of each field that recipes have got since.
    there["recipe"] = asdict(recipes.of_values(there["recipe"]))
    ours, theirs = (_flat(values) for values in (mine, there))
    different = [
        f"{key} ({theirs.get(key)} there, {ours.get(key)} here)"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    ]
    if different:
        raise ValueError(
            f"{directory} holds another search: it differs in {'; '.join(different)}. Give another "
            "--workdir, or the same arguments to continue it."
        )


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `{"recipe": {"epochs": 3}}` as `{"recipe.epochs": 3}`, in JSON's own types."""
    found: dict[str, Any] = {}
    for key, value in json.loads(json.dumps(values)).items():
        if isinstance(value, dict):
            found |= {f"{key}.{inner}": item for inner, item in value.items()}
        else:
            found[key] = value
    return found
