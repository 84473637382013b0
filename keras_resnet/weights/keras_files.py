"""Reads the arrays of Keras's weight files by layer name; no configuration is ever run.

Three layouts: `.weights.h5`, the same inside a `.keras` archive, and the older `.h5` of
keras.applications. Keras would assign array by array and stop half-way at the first that does not
fit; read beforehand, they can all be checked before a model is touched.
"""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

WEIGHTS_IN_ARCHIVE = "model.weights.h5"
# Float numbers hardly compress; a member that claims more than this is a zip bomb.
LARGEST_EXPANSION = 4
LARGEST_CONFIGURATION = 50_000_000  # bytes
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

    Raises:
        ValueError: If the file is none of these, or is damaged.
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


def strides(path: str, layer: str) -> tuple[int, ...] | None:
    """The strides of a layer in a `.keras` file's configuration, if it has such a layer.

    The configuration is searched as JSON; nothing is built from it.
    """
    size = os.path.getsize(path)
    with zipfile.ZipFile(path) as archive:
        # JSON compresses well, but ResNet-1202's takes 4 MB only.
        if archive.getinfo("config.json").file_size > max(size, LARGEST_CONFIGURATION):
            raise ValueError("its config.json is far larger than the file")
        found: list[tuple[int, ...]] = []

        def look(entry: dict[str, Any]) -> dict[str, Any]:
            if entry.get("name") == layer and "strides" in entry:
                found.append(tuple(entry["strides"]))
            return entry

        json.loads(archive.read("config.json"), object_hook=look)
    return found[0] if found else None


def _read_hdf5(content: bytes) -> dict[str, np.ndarray]:
    import h5py  # type: ignore[import-untyped]  # slow to import, and only needed here

    _check_heaps(content)
    arrays: dict[str, np.ndarray] = {}
    total = 0
    with h5py.File(io.BytesIO(content), "r") as root:
        older = root.get("model_weights", root)
        layers = _older_layers(older) if "layer_names" in older.attrs else _layers(root)
        for layer, datasets in layers:
            names = VARIABLES.get(len(datasets))
            if names is None:
                raise ValueError(f"the layer {layer!r} has {len(datasets)} arrays")
            for name, dataset in zip(names, datasets, strict=True):
                key = f"{layer}/{name}"
                if key in arrays:
                    raise ValueError(f"the array {key!r} occurs twice")
                # External and virtual datasets would read other files of the machine.
                if not hasattr(dataset, "dtype") or dataset.external or dataset.is_virtual:
                    raise ValueError(f"the array {key!r} is not stored in the file itself")
                if dataset.dtype.kind not in "fiu":
                    raise ValueError(f"the array {key!r} holds no numbers")
                total += dataset.nbytes
                if total > len(content):
                    raise ValueError(f"{key!r}, shape {dataset.shape}, is larger than the file")
                arrays[key] = np.asarray(dataset)
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


def _layers(group: Any) -> Iterator[tuple[str, list[Any]]]:
    """Layers of a `.weights.h5` file: groups `.../layers/<class>/vars/<number>`, however nested.

    A layer's own name is an attribute of its `vars`. What lies outside `layers`, such as an
    optimizer's state, is left where it is.
    """
    for name in _child(group, "layers"):
        layer = _child(_child(group, "layers"), name)
        if "layers" in layer:  # a nested model
            yield from _layers(layer)
        elif "vars" in layer and len(layer["vars"]):
            variables = _child(layer, "vars")
            if "name" not in variables.attrs:
                raise ValueError("its layers have no names; save it again with Keras >= 3.15")
            numbers = [str(number) for number in range(len(variables))]
            yield _texts(variables, "name")[0], [_child(variables, number) for number in numbers]


def _older_layers(group: Any) -> Iterator[tuple[str, list[Any]]]:
    """Layers of an older `.h5` file: names in attributes, datasets at `<layer>/<weight name>`."""
    for name in _texts(group, "layer_names"):
        layer = _child(group, name)
        weights = _texts(layer, "weight_names")
        if weights:
            yield name, [_nested_child(layer, weight) for weight in weights]


def _nested_child(group: Any, path: str) -> Any:
    for part in path.split("/"):
        group = _child(group, part)
    return group


def _texts(group: Any, attribute: str) -> list[str]:
    """The texts of an attribute; one of a damaged type would make HDF5 read anywhere."""
    import h5py

    kind = group.attrs.get_id(attribute)
    if len(kind.shape) > 1 or (math.prod(kind.shape) and not h5py.check_string_dtype(kind.dtype)):
        raise ValueError(f"its attribute {attribute!r} holds no texts")
    texts = np.ravel(group.attrs[attribute])
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]
