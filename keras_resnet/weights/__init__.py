"""What `weights=` accepts, and loading it: a row of the published, or a file."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from keras_resnet.architectures import ARCHITECTURES, Architecture
from keras_resnet.weights import keras_files, porting, torch_files, transfer
from keras_resnet.weights.published import (
    PUBLISHED_WEIGHTS,
    PublishedWeights,
    fetch,
    list_published,
)

__all__ = ["PublishedWeights", "fetch", "find", "fitting_version", "list_published", "load", "read"]

LOGGER = logging.getLogger("keras_resnet")


def _safetensors(path: str) -> Any:
    try:
        import safetensors
    except ImportError as error:
        raise ImportError(
            f"Reading {path} needs the package safetensors: "
            "pip install 'keras-residual-networks[weights]'"
        ) from error
    return safetensors


def _read_safetensors(path: str) -> dict[str, np.ndarray]:
    with _safetensors(path).safe_open(path, framework="np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    # NumPy itself has no bfloat16.
    return {k: a.astype(np.float32) if a.dtype.name == "bfloat16" else a for k, a in arrays.items()}


TORCH_ENDINGS = (".pth", ".th", ".safetensors")
READERS: Mapping[str, Callable[[str], dict[str, np.ndarray]]] = MappingProxyType(
    {
        ".weights.h5": keras_files.read,
        ".keras": keras_files.read,
        ".h5": keras_files.read,
        ".pth": torch_files.read,
        ".th": torch_files.read,
        ".safetensors": _read_safetensors,
    }
)


def find(
    weights: str | os.PathLike[str] | None,
    architecture: Architecture,
    include_top: bool = True,
    classes: int | None = None,
    classifier_activation: Any = "softmax",
) -> PublishedWeights | str | None:
    """What `weights=` means for a network: a row of the table, a file's path, or `None`.

    Args:
        weights: `None`, a name of the table, or a path.
        architecture: The network, with every option but `version`.
        include_top: As of the constructors, like the following.
        classes: The same.
        classifier_activation: The same.

    Raises:
        ValueError: If the weights are unknown, or do not fit the other arguments.
        FileNotFoundError: If the path of a file names none.
    """
    if weights is None:
        return None
    weights = os.fspath(weights)
    if weights not in {row.name for row in PUBLISHED_WEIGHTS}:
        if _ending(weights) is None:
            raise ValueError(
                f"weights is None (random weights), a published name ({_choices(architecture)}) or "
                f"the path of a file ending in {', '.join(READERS)}; given {weights!r}."
            )
        if not os.path.isfile(weights):
            raise FileNotFoundError(f"There is no weights file {weights!r}.")
        return weights

    row = next((r for r in list_published(architecture.name) if r.name == weights), None)
    if row is None or not _same_arrays(architecture, ARCHITECTURES[row.network]):
        raise ValueError(
            f"There are no weights {weights!r} for {architecture}. "
            f"Of this network there are: {_choices(architecture)}."
        )
    if include_top and classes not in (None, row.origin.classes):
        raise ValueError(
            f"weights={weights!r} with include_top=True have {row.origin.classes} classes; given "
            f"classes={classes}. Take include_top=False and add a top of your own."
        )
    if include_top and classifier_activation not in (None, "softmax"):
        raise ValueError(
            f"weights={weights!r} were trained with classifier_activation='softmax'; None gives "
            f"logits; given {classifier_activation!r}."
        )
    return row


def fitting_version(
    source: PublishedWeights | str | None, architecture: Architecture, version: str | None = None
) -> str | None:
    """The version to build for weights; `None` where they do not tell, or it is all the same.

    Files of `porting.save_safetensors` and `.keras` files tell. Others in PyTorch's layout are
    taken to stride as torchvision and timm do, in the 3x3, unless `version` says otherwise.
    `.weights.h5` and `.h5` files do not tell; the version stays the architecture's.

    Args:
        source: What `find` returned.
        architecture: The network.
        version: The version asked for, if any.

    Raises:
        ValueError: If the weights need another version than the one asked for.
    """
    if source is None or (isinstance(source, str) and architecture.block != "bottleneck"):
        return version
    asked = version or (architecture.version if architecture.version != "v1" else None)
    if isinstance(source, PublishedWeights):
        needed: str | None = source.version
    else:
        needed = _recorded_version(source)
        if needed is asked is None and source.endswith(TORCH_ENDINGS):
            LOGGER.info("%s: built as version 'v1.5', as torchvision's and timm's are.", source)
            return "v1.5"
    if None not in (needed, asked) and needed != asked:
        raise ValueError(
            f"{_called(source)} need version={needed!r} of {architecture.name}; given {asked!r}. "
            f"Leave version out, or take other weights: {_choices(architecture)}."
        )
    return needed or asked


def _recorded_version(path: str) -> str | None:
    """The version of a bottleneck net in a file, for the two kinds of files that record it."""
    try:
        if path.endswith(".safetensors"):
            with _safetensors(path).safe_open(path, framework="np") as file:
                return (file.metadata() or {}).get(porting.METADATA_VERSION)
        if path.endswith(".keras"):
            strides = keras_files.strides(path, porting.V1_5_STRIDES_IN)
            return None if strides is None else "v1.5" if strides == (2, 2) else "v1"
    except (ImportError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # see read
        raise ValueError(f"{path} is damaged or no weights file: {error}") from error
    return None


def load(
    model: keras.Model,
    source: PublishedWeights | str,
    architecture: Architecture,
    include_top: bool = True,
) -> None:
    """Gives a model the weights of a row or a file; see `transfer.assign` for what fits.

    Raises:
        ValueError: If the file is damaged or does not fit; the model is then as it was.
        OSError: If the file cannot be fetched or read.
    """
    path = fetch(source, include_top) if isinstance(source, PublishedWeights) else source
    transfer.assign(model, read(path, architecture), path)


def read(path: str, architecture: Architecture) -> dict[str, np.ndarray]:
    """A weights file's arrays by our names, such as `{"conv1_bn/gamma": (64,)}`.

    Raises:
        ValueError: If the file is damaged, or holds something else.
        OSError: If it cannot be read.
    """
    ending = _ending(path)
    if ending is None:
        raise ValueError(f"A weights file ends in {', '.join(READERS)}; given {path!r}.")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no weights file {path!r}.")
    try:
        arrays = READERS[ending](path)
        if ending in TORCH_ENDINGS:
            return porting.from_torch(arrays)
        return porting.from_keras_applications(arrays, architecture.blocks)
    except (ImportError, FileNotFoundError, PermissionError):
        raise
    # A damaged file may make the parsers (HDF5, zip, safetensors, pickle's opcodes) fail in any
    # way; whatever it was, it is the file.
    except Exception as error:
        raise ValueError(f"{path} is damaged or no weights file of a ResNet: {error}") from error


def _ending(path: str) -> str | None:
    return next((ending for ending in READERS if path.endswith(ending)), None)


def _same_arrays(architecture: Architecture, other: Architecture) -> bool:
    """Whether two networks differ at most in where they stride and how they start."""
    free = {"version": "v1", "zero_init_residual": False}
    return replace(architecture, **free) == replace(other, **free)  # type: ignore[arg-type]


def _choices(architecture: Architecture) -> str:
    fitting = ARCHITECTURES.get(architecture.name)
    if fitting is None or not _same_arrays(architecture, fitting):
        return "none published"
    names = [f"{row.name!r} ({row.version})" for row in list_published(architecture.name)]
    return ", ".join(names) or "none published"


def _called(source: PublishedWeights | str) -> str:
    return (
        f"weights={source.name!r}"
        if isinstance(source, PublishedWeights)
        else f"The weights {source}"
    )
