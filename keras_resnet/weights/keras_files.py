"""Reads the arrays of Keras's weight files by layer name; no configuration is ever run.

There are three layouts: `.weights.h5`, the same inside a `.keras` archive, and the older `.h5`.
Keras would assign array by array and stop half-way at the first that does not fit. Read beforehand,
all arrays can be checked before a model is changed.
"""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_resnet.weights import bfloat16
from keras_resnet.weights.errors import UnsuitableFileError
from keras_resnet.weights.names import LAYERS

WEIGHTS_IN_ARCHIVE = "model.weights.h5"
# Float numbers hardly compress; a member that claims more than this is a zip bomb.
LARGEST_EXPANSION = 4
LARGEST_CONFIGURATION = 50_000_000  # bytes
CONFIGURATION = "model_config"  # an attribute of older .h5 files
LAYER_NAMES = "layer_names"  # an attribute of older .h5 files, too
TRAINING_STATE = ("optimizer", "optimizer_weights")
BFLOAT16 = np.dtype("V2")  # as which Keras saves it, since HDF5 has no such type
HEAP = b"GCOL\x01"  # signature and version of an HDF5 global heap collection
SMALLEST_HEAP = 4096  # bytes
# The order in which a layer's variables are written, by their number.
VARIABLES = {
    1: ("kernel",),
    2: ("kernel", "bias"),
    4: ("gamma", "beta", "moving_mean", "moving_variance"),
}


def read(path: str) -> dict[str, np.ndarray]:
    """The arrays of a `.weights.h5`, `.keras` or `.h5` file, as `{"conv1_bn/gamma": (64,)}`.

    Layers of nested models have their own names; a user's own layers that share a name are read
    once.

    Raises:
        ValueError: If the file is of another kind, is damaged, or holds several networks.
        OSError: If it cannot be read.
    """
    if not path.endswith(".keras"):
        with open(path, "rb") as file:
            return _read_hdf5(file.read())
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(WEIGHTS_IN_ARCHIVE).file_size
        if size > LARGEST_EXPANSION * os.path.getsize(path):
            raise ValueError(f"its {WEIGHTS_IN_ARCHIVE} is far larger than the file")
        return _read_hdf5(archive.read(WEIGHTS_IN_ARCHIVE))


def configured_layers(path: str) -> dict[str, dict[str, Any]]:
    """The configurations of the layers in a file, by name; none if it holds weights alone.

    `.keras` files have a configuration, and so have `.h5` files that hold a whole model. It is
    searched as JSON; nothing is built from it.
    """
    configuration = _archives_configuration if path.endswith(".keras") else _hdf5_configuration
    found: dict[str, dict[str, Any]] = {}

    def note(entry: dict[str, Any]) -> dict[str, Any]:
        if isinstance(entry.get("name"), str) and "trainable" in entry:
            found.setdefault(entry["name"], entry)
        return entry

    json.loads(configuration(path), object_hook=note)
    return found


def _archives_configuration(path: str) -> bytes:
    size = os.path.getsize(path)
    with zipfile.ZipFile(path) as archive:
        # JSON compresses well, but ResNet-1202's takes 4 MB only.
        if archive.getinfo("config.json").file_size > max(size, LARGEST_CONFIGURATION):
            raise ValueError("its config.json is far larger than the file")
        return archive.read("config.json")


def _hdf5_configuration(path: str) -> str:
    import h5py  # slow to import, and only needed here

    with open(path, "rb") as file:
        content = file.read()
    _check_heaps(content)
    with h5py.File(io.BytesIO(content), "r") as root:
        return _texts(root, CONFIGURATION)[0] if CONFIGURATION in root.attrs else "{}"


def _read_hdf5(content: bytes) -> dict[str, np.ndarray]:
    import h5py

    _check_heaps(content)
    arrays: dict[str, np.ndarray] = {}
    total = 0
    with h5py.File(io.BytesIO(content), "r") as root:
        older = root.get("model_weights", root)
        is_older = LAYER_NAMES in older.attrs or f"{LAYER_NAMES}0" in older.attrs
        layers = list(_older_layers(older) if is_older else _layers(root, set()))
        if layers and all(layer is None for layer, _ in layers):
            raise UnsuitableFileError(
                "its layers have no names; load it with Keras >= 3.15 and save it again"
            )
        for layer, variables in ((layer, found) for layer, found in layers if layer is not None):
            for name, dataset in variables.items():
                key = f"{layer}/{name}"
                if key in arrays:
                    if LAYERS.fullmatch(layer) is None:
                        continue
                    raise UnsuitableFileError(
                        f"it holds several networks: the array {key!r} occurs twice"
                    )
                # External and virtual datasets would read other files of the machine.
                if not hasattr(dataset, "dtype") or dataset.external or dataset.is_virtual:
                    raise ValueError(f"the array {key!r} is not stored in the file itself")
                total += dataset.nbytes
                if total > len(content):
                    raise ValueError(f"{key!r}, shape {dataset.shape}, is larger than the file")
                if dataset.dtype.kind in "fiub":
                    arrays[key] = np.asarray(dataset)
                elif dataset.dtype == BFLOAT16:
                    arrays[key] = bfloat16.from_bits(np.asarray(dataset).view("<u2"))
                elif LAYERS.fullmatch(layer):
                    raise UnsuitableFileError(
                        f"the array {key!r} is of type {dataset.dtype}, which is not read"
                    )
    return arrays


def _check_heaps(content: bytes) -> None:
    """Refuses damaged heaps of texts, such as the layers' names, before HDF5 sees them.

    HDF5 1.14 walks a heap from object to object by their sizes, and for ever where one is zero.
    Layout: HDF5 File Format Specification 3.0, III.E, "Global Heap".

    Raises:
        ValueError: If a heap's objects do not follow one another up to its end.
    """
    at = content.find(HEAP)
    while at >= 0:
        end = at + int.from_bytes(content[at + 8 : at + 16], "little")
        # Fewer or more bytes are no heap, but numbers that look like one; HDF5 refuses them too.
        if SMALLEST_HEAP <= end - at <= len(content) - at:
            place = at + 16
            while place + 16 <= end:  # an object's header: number, references, size of its text
                number = int.from_bytes(content[place : place + 2], "little")
                size = int.from_bytes(content[place + 8 : place + 16], "little")
                # Object 0 is the free space, whose size counts the header; texts fill 8 bytes each.
                step = size if number == 0 else 16 + (size + 7) // 8 * 8
                if step < 16 or place + step > end:
                    raise ValueError("the names of its layers are damaged")
                place += step
        at = content.find(HEAP, at + 1)


def _child(group: Any, name: str) -> Any:
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"the entry {name!r} is missing or a link")
    return group[name]


def _layers(group: Any, seen: set[Any]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Yields the layers of a `.weights.h5` file, however nested, with their datasets by name.

    A layer is a group that has a group `vars` of numbered datasets, with the layer's own name as
    an attribute; random seeds have no name. What belongs to an optimizer is not read.
    """
    import h5py

    address = h5py.h5o.get_info(group.id).addr
    if address in seen:  # as no Keras writes; many such links would take for ever to follow
        raise ValueError(f"its group {group.name!r} is linked twice")
    seen.add(address)
    for name in group:
        child = _child(group, name)
        if name == "vars" and len(child):
            layer = _texts(child, "name")[0] if "name" in child.attrs else None
            datasets = [_child(child, str(number)) for number in range(len(child))]
            yield layer, dict(zip(_variables(layer, len(datasets)), datasets, strict=True))
        elif name not in ("vars", *TRAINING_STATE) and isinstance(child, h5py.Group):
            yield from _layers(child, seen)


def _older_layers(group: Any) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Yields the layers of an older `.h5` file, those of nested models too.

    Names stand in attributes, and datasets at `<layer>/<weight name>`. A nested model stands there
    as one layer; its weights are called by the layers inside, as in `conv1_bn/gamma`.
    """
    for name in _texts(group, LAYER_NAMES):
        layer = _child(group, name)
        weights = _texts(layer, "weight_names")
        datasets = [_nested_child(layer, weight) for weight in weights]
        parents = [weight.split("/")[:-1] for weight in weights]
        if all(parent == parents[0] for parent in parents):
            if weights:
                yield name, dict(zip(_variables(name, len(weights)), datasets, strict=True))
            continue
        inner: dict[str, dict[str, Any]] = {}
        for weight, parent, dataset in zip(weights, parents, datasets, strict=True):
            variable = weight.rpartition("/")[2].partition(":")[0]
            inner.setdefault(parent[-1] if parent else name, {})[variable] = dataset
        yield from inner.items()


def _variables(layer: str | None, count: int) -> tuple[str, ...]:
    """The names of a layer's variables, of which files have only the order."""
    if count in VARIABLES:
        return VARIABLES[count]
    if layer is not None and LAYERS.fullmatch(layer):
        raise UnsuitableFileError(
            f"its layer {layer!r} has {count} arrays; that of a ResNet has 1, 2 or 4. A quantized "
            "layer has others: give the net before it was quantized"
        )
    return tuple(map(str, range(count)))


def _nested_child(group: Any, path: str) -> Any:
    for part in path.split("/"):
        group = _child(group, part)
    return group


def _texts(group: Any, attribute: str) -> list[str]:
    """The texts of an attribute; Keras divides one above 64 KB into `layer_names0` and so on."""
    if attribute in group.attrs:
        return _texts_of_one(group, attribute)
    texts = []
    for number in itertools.count():
        if f"{attribute}{number}" not in group.attrs:
            break
        texts += _texts_of_one(group, f"{attribute}{number}")
    if not texts:
        raise ValueError(f"its attribute {attribute!r} is missing")
    return texts


def _texts_of_one(group: Any, attribute: str) -> list[str]:
    """The texts of an attribute; one of a damaged type would make HDF5 read anywhere."""
    import h5py

    kind = group.attrs.get_id(attribute)
    if len(kind.shape) > 1 or (math.prod(kind.shape) and not h5py.check_string_dtype(kind.dtype)):
        raise ValueError(f"its attribute {attribute!r} holds no texts")
    texts = np.ravel(group.attrs[attribute])
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]
