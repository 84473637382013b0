"""TF Serving's model base: versions on disk, labels `stable` and `canary`, and its configuration.

`labels.json` holds each label's versions, the present one first and the earlier ones after it.
From it two files are generated: `models.config` for a container that has the base at /models, and
`models.local.config` for a server on this machine. Each is replaced as a whole.
"""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.common.files import read_json, write_json, write_text

Labels = dict[str, list[int]]  # a label's versions, the present one first

STABLE, CANARY = "stable", "canary"
STATE, CONFIG, LOCAL_CONFIG = "labels.json", "models.config", "models.local.config"
BATCHING = "batching_parameters.txt"
IN_CONTAINER = "/models"  # where the official image and savedmodels/compose.yaml have the base
KEPT = 10  # versions that a label remembers


def check_name(kind: str, name: str) -> None:
    """Refuses a name of a model or a label that could not stand in a URL.

    Raises:
        ValueError: If `name` is such a name; the message says what is allowed.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ValueError(
            f"The name of a {kind} is letters, digits, '_', '-' and '.', and begins with a letter "
            f"or digit; given {name!r}."
        )


def versions(home: Path) -> list[int]:
    """Returns the numbers of a model's complete versions on disk, ascending."""
    if not home.is_dir():
        return []
    return sorted(
        int(path.name)
        for path in home.iterdir()
        if path.name.isdecimal()
        and path.name == str(int(path.name))
        and (path / "saved_model.pb").is_file()
    )


def labels(base: Path) -> dict[str, Labels]:
    """Returns each model's labels, without models and versions that are no longer on disk.

    Raises:
        ValueError: If `labels.json` is damaged, or was not written by this module.
    """
    written = _written(base / STATE)
    found = {}
    for home in sorted(base.glob("*")):
        present = versions(home)
        kept = {
            label: [version for version in history if version in present]
            for label, history in written.get(home.name, {}).items()
        }
        if present:
            found[home.name] = {label: history for label, history in kept.items() if history}
    return found


def _written(state: Path) -> dict[str, Labels]:
    """Returns what `labels.json` says, {model: {label: versions}}."""
    if not state.is_file():
        return {}
    models = read_json(state)
    if not isinstance(models, dict) or not all(
        isinstance(own, dict) and all(isinstance(history, list) for history in own.values())
        for own in models.values()
    ):
        raise ValueError(
            f"{state} holds something else than the labels of exported models, and would be "
            "overwritten: rename it, or give another folder for exported models."
        )
    return models


def refresh(base: Path) -> None:
    """Labels the versions that are new on disk, then writes the configuration.

    A model's first version becomes `stable`; a later one becomes `canary`.
    """
    with _changing(base) as state:
        for name, own in state.items():
            newest = versions(base / name)[-1]
            if STABLE not in own:
                _set(own, STABLE, newest)
            elif newest > max(max(history) for history in own.values()):
                _set(own, CANARY, newest)


def promote(base: Path, name: str, version: int | None = None, label: str = STABLE) -> int:
    """Gives a label to a version, by default the canary's; returns the version.

    Raises:
        ValueError: If there is no such model or version, or no label can be called so.
    """
    check_name("label", label)
    with _changing(base) as state:
        own = _of(state, base, name)
        if version is None:
            if CANARY not in own:
                raise ValueError(f"{name} has no canary to promote: give --version.")
            version = own[CANARY][0]
        if version not in versions(base / name):
            raise ValueError(
                f"{name} has no version {version}; it has "
                f"{', '.join(map(str, versions(base / name)))}."
            )
        _set(own, label, version)
        if label == STABLE and own.get(CANARY, [None])[0] == version:
            del own[CANARY]
    return version


def rollback(base: Path, name: str, label: str = STABLE) -> int:
    """Gives a label back to the version that had it before; returns that version.

    Raises:
        ValueError: If no earlier version had the label.
    """
    with _changing(base) as state:
        history = _of(state, base, name).get(label, [])
        if len(history) < 2:
            raise ValueError(f"No earlier version of {name} had the label {label!r}.")
        del history[0]
        return history[0]


def _set(own: Labels, label: str, version: int) -> None:
    earlier = [other for other in own.get(label, []) if other != version]
    own[label] = [version, *earlier][:KEPT]


def _of(state: dict[str, Labels], base: Path, name: str) -> Labels:
    if name not in state:
        raise ValueError(f"{base} has no model {name!r}; it has {', '.join(state) or 'none'}.")
    return state[name]


@contextmanager
def _changing(base: Path) -> Iterator[dict[str, Labels]]:
    """Yields the labels to one process at a time, and writes them if the block raises nothing."""
    if not base.is_dir():
        raise FileNotFoundError(f"There is no folder of exported models {base}.")
    with (base / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = labels(base)
        yield state
        write_json(base / STATE, state)
        for file, root in ((CONFIG, IN_CONTAINER), (LOCAL_CONFIG, str(base.resolve()))):
            write_text(base / file, config(state, root))


def config(state: dict[str, Labels], root: str) -> str:
    """Returns TF Serving's `ModelServerConfig` in text form.

    Servers load the labelled versions and, for a quick rollback, the previous stable version.

    Args:
        state: Each model's labels, as `labels` returns them.
        root: The absolute path of the base as the server sees it.
    """
    lines = ["# Generated from labels.json by `python -m training`.", "model_config_list {"]
    for name, own in state.items():
        current = {label: history[0] for label, history in own.items()}
        loaded = sorted({*current.values(), *own.get(STABLE, [])[:2]})
        lines += [
            "  config {",
            f"    name: {_quoted(name)}",
            f"    base_path: {_quoted(f'{root}/{name}')}",
            '    model_platform: "tensorflow"',
            "    model_version_policy {",
            "      specific {",
            *(f"        versions: {version}" for version in loaded),
            "      }",
            "    }",
        ]
        for label, version in current.items():
            lines.append(f"    version_labels {{ key: {_quoted(label)} value: {version} }}")
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    """A string of protobuf's text form, which lacks JSON's escapes beyond 16 bits."""
    return json.dumps(text, ensure_ascii=False)
