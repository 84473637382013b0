"""Finds and loads what `weights=` names: published weights, or a file."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType

import keras
import numpy as np

from keras_resnet.architectures import ARCHITECTURES, Architecture
from keras_resnet.weights import (
    keras_files,
    porting,
    safetensors_files,
    torch_files,
    transfer,
)
from keras_resnet.weights.errors import UnsuitableFileError
from keras_resnet.weights.published import PUBLISHED_WEIGHTS, PublishedWeights, fetch, of_network

LOGGER = logging.getLogger("keras_resnet")

KERAS_ENDINGS = (".weights.h5", ".keras", ".h5", ".hdf5")
# torch.save's own examples, PyTorch Lightning's and the Hugging Face hub's.
PICKLE_ENDINGS = (".pth", ".pth.tar", ".th", ".pt", ".ckpt", ".bin")
TORCH_ENDINGS = (*PICKLE_ENDINGS, ".safetensors")
LFS_POINTER = b"version https://git-lfs"  # how the file that stands for a large one begins
READERS: Mapping[str, Callable[[str], dict[str, np.ndarray]]] = MappingProxyType(
    {
        **dict.fromkeys(KERAS_ENDINGS, keras_files.read),
        **dict.fromkeys(PICKLE_ENDINGS, torch_files.read),
        ".safetensors": safetensors_files.read,
    }
)


def find(
    weights: str | os.PathLike[str] | None,
    architecture: Architecture,
    include_top: bool = True,
    classes: int | None = None,
) -> PublishedWeights | str | None:
    """What `weights=` names for a network: published weights, a file by its path, or `None`.

    Args:
        weights: `None`, the name of published weights, or a path, which may begin with `~`.
        architecture: The network, with every option but `version`.
        include_top: Whether the network has its classifier.
        classes: The number of classes of the classifier; `None` for the weights' own.

    Raises:
        ValueError: If the weights are unknown, or do not fit the other arguments.
        FileNotFoundError: If there is no file at the path.
    """
    if weights is None:
        return None
    if weights not in [published.name for published in PUBLISHED_WEIGHTS]:
        choices = f"None (random weights), a published name ({_choices(architecture)}) or "
        return _file(weights, f"weights takes {choices}")

    found = next((one for one in of_network(architecture.name) if one.name == weights), None)
    if found is None or not _same_arrays(architecture, ARCHITECTURES[found.network]):
        raise ValueError(
            f"There are no weights {weights!r} for {architecture.name} with these options. "
            f"This network has: {_choices(architecture)}."
        )
    if include_top and classes not in (None, found.origin.classes):
        raise ValueError(
            f"weights={weights!r} with include_top=True have {found.origin.classes} classes; given "
            f"classes={classes}. Take include_top=False and add a top of your own."
        )
    return found


def _file(given: object, takes: str) -> str:
    """The path of a file of a known kind; `takes` says what else the argument takes."""
    path = ""
    if isinstance(given, str | bytes | os.PathLike):
        path = os.path.expanduser(os.fsdecode(given))
    if not path.endswith(tuple(READERS)):
        raise ValueError(
            f"{takes}the path of a file ending in {', '.join(READERS)}; given {given!r}."
        )
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no weights file {path!r}.")
    with open(path, "rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise ValueError(
                f"{path} is a pointer of Git LFS to the weights file: fetch that by `git lfs pull`."
            )
    return path


def fitting_version(
    source: PublishedWeights | str | None, architecture: Architecture, version: str | None = None
) -> str | None:
    """The version of a network that its weights need; `None` if the weights fit every version.

    Files of `porting.save_safetensors`, `.keras` files and `.h5` files of whole models record the
    version. Where neither the file nor the caller says it, files in PyTorch's layout are taken for
    `"v1.5"`, torchvision's and timm's, and Keras files for `"v1"`, keras.applications'; the log
    says so.

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
        called = f"weights={source.name!r}"
    else:
        needed, called = _recorded_version(source), f"The weights {source}"
        if needed is asked is None:
            needed = "v1.5" if source.endswith(TORCH_ENDINGS) else "v1"
            LOGGER.info("%s does not record its version; the net is built as %r.", source, needed)
    if None not in (needed, asked) and needed != asked:
        raise ValueError(
            f"{called} need version={needed!r} of {architecture.name}; given {asked!r}. "
            f"Leave version out, or take other weights: {_choices(architecture)}."
        )
    return needed or asked


def _recorded_version(path: str) -> str | None:
    """The version of a bottleneck net in a file, if the file records it."""
    with _naming(path):
        if path.endswith(".safetensors"):
            return safetensors_files.recorded_version(path)
        if path.endswith(KERAS_ENDINGS):
            layer = keras_files.configured_layers(path).get(porting.V1_5_STRIDES_IN)
            return None if layer is None else "v1.5" if layer.get("strides") == [2, 2] else "v1"
    return None


def _check_shortcuts(path: str, architecture: Architecture) -> None:
    """Refuses a plain net's file for a residual net, and the reverse, where the file tells.

    A residual net of option A has the arrays of the plain net.
    """
    if not path.endswith(KERAS_ENDINGS):
        return
    with _naming(path):
        layers = keras_files.configured_layers(path)
    residual = "conv2_block1_add" in layers
    if "conv2_block1_out" in layers and residual != architecture.residual:
        kinds = ("residual", "plain") if residual else ("plain", "residual")
        raise ValueError(
            f"{path} holds a {kinds[0]} net; {architecture.name} is a {kinds[1]} one. Build the "
            f"{kinds[0]} net for it."
        )


def load(
    model: keras.Model,
    source: PublishedWeights | str | os.PathLike[str],
    architecture: Architecture,
    include_top: bool = True,
) -> None:
    """Gives a model published weights or those of a file; see `transfer.assign` for what fits.

    Raises:
        ValueError: If the file is damaged, holds a plain net for a residual one or the reverse, or
            does not fit; the model is then not changed.
        OSError: If the file cannot be fetched or read.
    """
    if isinstance(source, PublishedWeights):
        path = fetch(source, include_top)
        arrays = read(path, published_for=architecture)
    else:
        path = os.path.expanduser(os.fsdecode(source))
        arrays = read(path)
        _check_shortcuts(path, architecture)
    transfer.assign(model, arrays, path)


def read(
    path: str | os.PathLike[str], published_for: Architecture | None = None
) -> dict[str, np.ndarray]:
    """A weights file's arrays by this package's names, such as `{"conv1_bn/gamma": (64,)}`.

    Args:
        path: The file; it may begin with `~`.
        published_for: The network of a published file, whose layers keras.applications takes by
            their order. Default: the file's names alone say which array is which.

    Raises:
        ValueError: If the file is damaged, or holds something else.
        OSError: If it cannot be read.
    """
    path = _file(path, "path takes ")
    with _naming(path):
        reader = next(reader for ending, reader in READERS.items() if path.endswith(ending))
        arrays = reader(path)
        if path.endswith(TORCH_ENDINGS):
            return porting.from_torch(arrays)
        if published_for is not None:
            return porting.from_keras_applications(arrays, published_for.blocks)
        return porting.from_keras(arrays)


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Names the file in every error, and says whether it is damaged or merely unsuitable."""
    try:
        yield
    except (ImportError, FileNotFoundError, PermissionError):
        raise
    except UnsuitableFileError as error:
        raise ValueError(f"{path} cannot be loaded: {error}.") from error
    # A damaged file may make the parsers (HDF5, zip, safetensors, pickle's opcodes) raise anything,
    # so every other exception is taken for damage.
    except Exception as error:
        raise ValueError(f"{path} is damaged or no weights file: {error}") from error


def _same_arrays(architecture: Architecture, other: Architecture) -> bool:
    """Whether two networks differ at most in their version and in their first weights."""
    free = {"version": "v1", "zero_init_residual": False}
    return replace(architecture, **free) == replace(other, **free)  # type: ignore[arg-type]


def _choices(architecture: Architecture) -> str:
    fitting = ARCHITECTURES.get(architecture.name)
    if fitting is None or not _same_arrays(architecture, fitting):
        return "none published"
    names = [f"{one.name!r} ({one.version})" for one in of_network(architecture.name)]
    return ", ".join(names) or "none published"
