"""PyTorch's files, written byte by byte as versions of PyTorch and Python wrote them."""

from __future__ import annotations

import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

STORAGES = {"f4": "FloatStorage", "f2": "HalfStorage", "f8": "DoubleStorage", "i8": "LongStorage"}


@dataclass(frozen=True)
class Named:
    """A class or function, by module and name."""

    module: str
    name: str


@dataclass(frozen=True)
class Call:
    """An object that pickles as the call of a function or, with `new`, of a class's `__new__`."""

    function: Named
    arguments: tuple[Any, ...] = ()
    attributes: Any = None
    new: bool = False


@dataclass
class Writer:
    """Pickles in protocol 2; `arrays` are the numbers that the pickled tensors refer to."""

    python: int = 3
    rebuild: str = "_rebuild_tensor_v2"
    location: str = "cpu"
    legacy: bool = False
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def dumps(self, value: Any) -> bytes:
        return b"\x80\x02" + self.opcodes(value) + b"."

    def opcodes(self, value: Any) -> bytes:
        match value:
            case None:
                return b"N"
            case bool():
                return b"\x88" if value else b"\x89"
            case int() if abs(value) < 2**31:
                return b"J" + struct.pack("<i", value)
            case int():
                content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
                return b"\x8a" + bytes([len(content)]) + content
            case float():
                return b"G" + struct.pack(">d", value)
            case str() if self.python == 2:
                return b"U" + bytes([len(value)]) + value.encode()
            case str():
                return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
            case tuple():
                return b"(" + b"".join(map(self.opcodes, value)) + b"t"
            case list():
                return b"](" + b"".join(map(self.opcodes, value)) + b"e"
            case Named(module, name):
                return f"c{module}\n{name}\n".encode()
            case Call(function, arguments, attributes, new):
                made = self.opcodes(function) + self.opcodes(arguments) + (b"\x81" if new else b"R")
                return made + (b"" if attributes is None else self.opcodes(attributes) + b"b")
            case OrderedDict():
                return self.ordered_dict(value)
            case dict():
                items = b"".join(self.opcodes(k) + self.opcodes(v) for k, v in value.items())
                return b"}(" + items + b"u"
            case np.ndarray():
                return self.tensor(value)
        raise TypeError(type(value))

    def ordered_dict(self, value: Mapping[str, Any]) -> bytes:
        called = Named("collections", "OrderedDict")
        if self.python == 2:
            return self.opcodes(Call(called, ([[k, v] for k, v in value.items()],)))
        items = b"".join(self.opcodes(k) + self.opcodes(v) for k, v in value.items())
        return self.opcodes(Call(called)) + b"(" + items + b"u"

    def tensor(self, array: np.ndarray) -> bytes:
        key = str(len(self.arrays))
        self.arrays[key] = array
        kind = Named("torch", STORAGES[array.dtype.str[1:]])
        storage = ("storage", kind, key, self.location, array.size)
        persistent = self.opcodes((*storage, None) if self.legacy else storage) + b"Q"
        strides = tuple(stride // array.itemsize for stride in array.strides)
        rest = b"".join(map(self.opcodes, (0, array.shape, strides)))
        if self.rebuild != "_rebuild_tensor":
            rest += self.opcodes(False) + self.opcodes(OrderedDict())
        function = self.opcodes(Named("torch._utils", self.rebuild))
        return function + b"(" + persistent + rest + b"tR"


def write_legacy(path: Path, value: Any, **writing: Any) -> Path:
    """The format before PyTorch 1.6: pickles, and then the numbers one after the other."""
    writer = Writer(legacy=True, **writing)
    content = writer.dumps(value)
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    opening = (0x1950A86A20F9469CFC6C, 1001, system)
    with path.open("wb") as file:
        file.write(b"".join(map(writer.dumps, opening)) + content)
        file.write(writer.dumps(list(writer.arrays)))
        for array in writer.arrays.values():
            file.write(struct.pack("<q", array.size) + array.tobytes())
    return path


def write_zip(path: Path, value: Any, **writing: Any) -> Path:
    """The format since PyTorch 1.6."""
    writer = Writer(**writing)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", writer.dumps(value))
        archive.writestr("archive/version", "3\n")
        for key, array in writer.arrays.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
    return path
