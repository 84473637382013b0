"""Reads the arrays of a PyTorch state dict without PyTorch, and without running its pickle.

A `.pth` file holds a pickle that describes tensors, and their numbers beside it: as members of a
zip archive (PyTorch >= 1.6) or one after the other (before). A pickle is a program for a small
stack machine. The one here knows only the opcodes that building dicts, tuples and tensors takes,
and hands back descriptions of tensors; it has no opcode that could call anything else.
"""

from __future__ import annotations

import math
import os
import pickletools
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # opens a file in the format before the zip archives
LEGACY_PROTOCOL = 1001
PICKLE_PROTOCOL = 2  # torch.save's own

STORAGES: Mapping[str, np.dtype[Any]] = {
    "torch DoubleStorage": np.dtype("<f8"),
    "torch FloatStorage": np.dtype("<f4"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch BFloat16Storage": np.dtype("<u2"),  # the upper half of a float32; see _tensor
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
    "torch ShortStorage": np.dtype("<i2"),
    "torch CharStorage": np.dtype("<i1"),
    "torch ByteStorage": np.dtype("<u1"),
    "torch BoolStorage": np.dtype("?"),
}
BFLOAT16 = "torch BFloat16Storage"
SAVE = "save it again with torch.save(model.state_dict(), path)"
BIG_ENDIAN = "its numbers are big-endian; save it again on a little-endian machine"
WRAPPERS = ("state_dict", "model_state_dict", "model")  # what training scripts save around it


@dataclass(frozen=True)
class _Global:
    """A name in the pickle, such as `collections OrderedDict`; nothing is imported."""

    name: str


@dataclass(frozen=True)
class _Storage:
    type: str
    key: str
    numel: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements


def read(path: str) -> dict[str, np.ndarray]:
    """The arrays of a `.pth` or `.th` file by name, such as `{"conv1.weight": (64, 3, 7, 7)}`.

    A state dict may lie in a dict under `"state_dict"`, `"model_state_dict"` or `"model"`.

    Raises:
        ValueError: If the file is not a PyTorch state dict, or is damaged.
        OSError: If it cannot be read.
    """
    size = os.path.getsize(path)
    if zipfile.is_zipfile(path):
        return _read_zip(path, size)
    with open(path, "rb") as file:
        return _read_legacy(file, size)


def _read_zip(path: str, size: int) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        # torch.save compresses nothing, so members larger than the file are a zip bomb.
        if sum(member.file_size for member in archive.infolist()) > size:
            raise ValueError("its members are larger than the file; torch.save writes no such file")
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError("it is a zip archive without PyTorch's data.pkl")
        root = pickles[0].removesuffix("data.pkl")
        byteorder = f"{root}byteorder"  # absent before PyTorch 2.1
        if byteorder in archive.namelist() and archive.read(byteorder) != b"little":
            raise ValueError(BIG_ENDIAN)
        with archive.open(pickles[0]) as file:
            tensors = _state_dict(_interpret(file))

        def load(storage: _Storage) -> bytes:
            return archive.read(f"{root}data/{storage.key}")

        return _arrays(tensors, load, size)


def _read_legacy(file: IO[bytes], size: int) -> dict[str, np.ndarray]:
    if _interpret(file) != LEGACY_MAGIC or _interpret(file) != LEGACY_PROTOCOL:
        raise ValueError(
            f"it is no PyTorch file that is known; open it where PyTorch is installed and {SAVE}"
        )
    if _interpret(file).get("little_endian") is not True:
        raise ValueError(BIG_ENDIAN)
    tensors = _state_dict(_interpret(file))
    numbers: dict[str, bytes] = {}
    itemsizes = {t.storage.key: STORAGES[t.storage.type].itemsize for t in tensors.values()}
    for key in _interpret(file):
        if key not in itemsizes:
            raise ValueError(f"the storage {key!r} belongs to no tensor of the state dict")
        count = int.from_bytes(file.read(8), "little")
        if not 0 <= count * itemsizes[key] <= size:
            raise ValueError(f"the storage {key!r} is larger than the file")
        numbers[key] = file.read(count * itemsizes[key])
    return _arrays(tensors, lambda storage: numbers[storage.key], size)


def _state_dict(value: Any) -> dict[str, _Tensor]:
    """The dict of tensors, taken out of a training script's checkpoint where there is one."""
    for wrapper in WRAPPERS:
        if isinstance(value, dict) and isinstance(value.get(wrapper), dict):
            value = value[wrapper]
    if not isinstance(value, dict) or not value:
        raise ValueError(f"it holds no state dict; open it where PyTorch is installed and {SAVE}")
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise ValueError(f"the entry {name!r} of its state dict is not a tensor with a name")
    return value


def _arrays(
    tensors: Mapping[str, _Tensor], load: Callable[[_Storage], bytes], size: int
) -> dict[str, np.ndarray]:
    numbers: dict[_Storage, np.ndarray] = {}
    arrays = {}
    # Thousands of tensors over one storage could ask for any memory.
    if sum(math.prod(t.shape) * STORAGES[t.storage.type].itemsize for t in tensors.values()) > size:
        raise ValueError("its tensors are larger than the file")
    for name, tensor in tensors.items():
        if tensor.storage not in numbers:
            dtype = STORAGES[tensor.storage.type]
            numbers[tensor.storage] = np.frombuffer(load(tensor.storage), dtype)
        try:
            arrays[name] = _tensor(tensor, numbers[tensor.storage])
        except ValueError as error:
            raise ValueError(f"the array {name!r} is damaged: {error}") from error
    return arrays


def _tensor(tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    shape, strides, offset = tensor.shape, tensor.strides, tensor.offset
    if any(n < 0 for n in (*shape, *strides, offset)) or len(shape) != len(strides):
        raise ValueError(f"shape {shape}, strides {strides}, offset {offset}")
    if numbers.size != tensor.storage.numel:
        raise ValueError(f"{numbers.size} numbers, of {tensor.storage.numel}")
    last = sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    # The first: a stride of 0 repeats numbers, so that a small file could ask for any memory.
    count: int = math.prod(shape)
    if count > numbers.size or (count and offset + last >= numbers.size):
        raise ValueError(f"shape {shape} reaches beyond its {numbers.size} numbers")
    view = np.lib.stride_tricks.as_strided(
        numbers[offset:], shape, [stride * numbers.itemsize for stride in strides], writeable=False
    )
    if tensor.storage.type == BFLOAT16:
        bits: np.ndarray = np.left_shift(view, 16, dtype=np.uint32)
        return bits.view(np.float32)
    return np.array(view)


def _reduce(function: Any, arguments: tuple[Any, ...]) -> Any:
    """What the three functions that occur in a state dict's pickle would have returned."""
    match function, arguments:
        case _Global("collections OrderedDict"), ():
            return {}
        case (
            _Global("torch._utils _rebuild_tensor_v2"),
            (_Storage() as storage, int(offset), tuple(shape), tuple(strides), *_),
        ):
            return _Tensor(storage, offset, shape, strides)
        case _Global("torch._utils _rebuild_parameter"), (_Tensor() as tensor, *_):
            return tensor
    raise ValueError(
        f"its pickle calls {getattr(function, 'name', function)!r}, which no state dict needs; "
        f"nothing was run. If you trust its origin, open it where PyTorch is installed and {SAVE}"
    )


def _storage(identity: Any) -> _Storage:
    match identity:
        case ("storage", _Global(kind), str(key), str(), int(numel), *rest) if kind in STORAGES:
            if rest in ([], [None]):
                return _Storage(kind, key, numel)
    raise ValueError(f"its pickle names an unknown storage {identity!r}")


def _interpret(file: IO[bytes]) -> Any:
    """The value that one pickle builds, tensors as `_Tensor`; reads up to its end."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def above_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    operations: Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]] = pickletools.genops(file)
    for opcode, argument, _ in operations:
        match opcode.name:
            case "PROTO":
                if argument != PICKLE_PROTOCOL:
                    raise ValueError(
                        f"its pickle has protocol {argument}; save it again with "
                        f"torch.save(..., pickle_protocol={PICKLE_PROTOCOL}), the default"
                    )
            case "BINUNICODE" | "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                stack.append(argument)
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode.name == "NEWTRUE")
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "MARK":
                marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(above_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                length = int(opcode.name[-1])
                stack[-length:] = [tuple(stack[-length:])]
            case "APPEND":
                stack[-2].append(stack.pop())
            case "APPENDS":
                items = above_mark()
                stack[-1].extend(items)
            case "SETITEM" | "SETITEMS":
                items = above_mark() if opcode.name == "SETITEMS" else [stack.pop(-2), stack.pop()]
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_Global(argument))
            case "BINPERSID":
                stack.append(_storage(stack.pop()))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(_reduce(stack.pop(), arguments))
            case "BUILD":  # an OrderedDict's attributes, such as _metadata: versions of modules
                stack.pop()
            case "STOP":
                return stack.pop()
            case _:
                raise ValueError(f"its pickle uses {opcode.name}, which no state dict needs")
    raise ValueError("its pickle has no end")
