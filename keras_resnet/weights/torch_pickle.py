"""Interprets the pickle in a PyTorch file without running anything of it.

A pickle is a program for a small stack machine. The machine here has the opcodes that describe
values; where the program asks for a call, it notes what would have been called, and calls nothing.
Only the calls that rebuild tensors and their dicts have a meaning here.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

# torch.save writes protocol 2; `pickle_protocol=` offers those up to 5.
CONSTANTS = (
    *("BINSTRING", "SHORT_BINSTRING"),  # of Python 2
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("INT", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
)
EMPTY: dict[str, type] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
# PyTorch before 0.4 wrote the first, which has no arguments for gradients and hooks.
REBUILD_TENSOR = ("torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2")
REBUILD_PARAMETER = (
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_parameter_with_state",
)
DICTS = ("collections OrderedDict", "collections defaultdict")


@dataclass(frozen=True)
class Global:
    """A name in the pickle, such as `collections OrderedDict`; nothing is imported."""

    name: str


@dataclass(frozen=True)
class Storage:
    """Numbers that tensors share: all those of a key, or `size` of them from `start`."""

    type: str  # such as "torch FloatStorage"
    key: str
    numel: int  # of all the key's numbers, which lie in the file
    start: int = 0
    size: int | None = None  # `None`: up to the end


@dataclass(frozen=True)
class Tensor:
    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements


@dataclass(eq=False)
class NotRun:
    """The value of a call that the pickle asks for and that was not made."""

    function: str  # such as `torchvision.models.resnet ResNet`


@dataclass(frozen=True)
class Pickle:
    """The value that a pickle describes, and its storages."""

    value: Any
    storages: dict[str, Storage]  # every one, by its key


def interpret(file: IO[bytes]) -> Pickle:
    """The value that one pickle builds, with `Tensor` and `NotRun` in it; reads up to its end.

    Raises:
        ValueError: If the pickle has contents that torch.save never writes.
    """
    machine = _Machine()
    operations: Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]] = pickletools.genops(file)
    for opcode, argument, _ in operations:
        if opcode.name == "STOP":
            return Pickle(machine.stack.pop(), machine.storages)
        machine.execute(opcode.name, argument)
    raise ValueError("its pickle has no end")


@dataclass
class _Machine:
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    storages: dict[str, Storage] = field(default_factory=dict)

    def execute(self, opcode: str, argument: Any) -> None:
        match opcode:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                self.marks.append(len(self.stack))
            case "POP":
                self.stack.pop()
            case "POP_MARK":
                self._above_mark()
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "BINGET" | "LONG_BINGET":
                self.stack.append(self.memo[argument])
            case "APPEND" | "APPENDS" | "SETITEM" | "SETITEMS" | "ADDITEMS":
                self._fill(opcode)
            case "BUILD":  # an object's attributes, such as an OrderedDict's _metadata
                self.stack.pop()
            case _:
                self.stack.append(self._made(opcode, argument))

    def _made(self, opcode: str, argument: Any) -> Any:
        """The value that an opcode makes, perhaps of the uppermost ones on the stack."""
        match opcode:
            case _ if opcode in CONSTANTS:
                return argument
            case "NONE":
                return None
            case "NEWTRUE" | "NEWFALSE":
                return opcode == "NEWTRUE"
            case _ if opcode in EMPTY:
                return EMPTY[opcode]()
            case "TUPLE":
                return tuple(self._above_mark())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                length = int(opcode[-1])
                items = tuple(self.stack[-length:])
                del self.stack[-length:]
                return items
            case "GLOBAL":
                return Global(argument)
            case "STACK_GLOBAL":
                name = self.stack.pop()
                return Global(f"{self.stack.pop()} {name}")
            case "BINPERSID":
                identity = self.stack.pop()
                if isinstance(identity, tuple) and identity[:1] == ("module",):
                    return identity[1]  # before PyTorch 1.6, a module's class with its source
                return self._known(_storage(identity))
            case "REDUCE" | "NEWOBJ":
                arguments = self.stack.pop()
                return _result(self.stack.pop(), arguments)
            case "NEWOBJ_EX":
                del self.stack[-2:]  # arguments, by place and by name
                return _result(self.stack.pop(), None)
            case "EMPTY_SET":
                return NotRun("builtins set")
            case "FROZENSET":
                return NotRun(f"builtins frozenset of {len(self._above_mark())}")
        raise ValueError(f"its pickle uses {opcode}, which torch.save never writes")

    def _fill(self, opcode: str) -> None:
        """Puts the uppermost values into the list or dict below them."""
        count = {"APPEND": 1, "SETITEM": 2}.get(opcode)
        items = self._above_mark() if count is None else self.stack[-count:]
        del self.stack[len(self.stack) - (count or 0) :]
        target = self.stack[-1]
        if isinstance(target, list) and opcode.startswith("APPEND"):
            target.extend(items)
        elif isinstance(target, dict) and opcode.startswith("SETITEM"):
            target.update(zip(map(_key, items[::2]), items[1::2], strict=True))
        elif not isinstance(target, NotRun):  # whose content nobody needs
            raise ValueError(f"its pickle uses {opcode} on a {type(target).__name__}")

    def _above_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _known(self, storage: Storage) -> Storage:
        known = self.storages.setdefault(storage.key, storage)
        if (known.type, known.numel) != (storage.type, storage.numel):
            raise ValueError(f"its pickle describes the numbers {storage.key!r} twice")
        return storage


def _key(value: Any) -> Any:
    """A key for a dict; nested tuples could take for ever to hash, and are no array's name."""
    return value if isinstance(value, str | int | float | None) else NotRun(type(value).__name__)


def _result(function: Any, arguments: Any) -> Any:
    """The result of a call, for the few functions that state dicts need."""
    name = function.name if isinstance(function, Global) else type(function).__name__
    match arguments:
        case () if name in DICTS:
            return {}
        case (list(pairs),) if name == "collections OrderedDict":  # as Python 2 wrote it
            return {_key(key): value for key, value in pairs}
        case (_, *_) if name == "collections defaultdict":
            return {}
        case (Storage() as storage, offset, shape, strides, *_) if name in REBUILD_TENSOR:
            if _are_whole((offset,)) and _are_whole(shape) and _are_whole(strides):
                return Tensor(storage, offset, shape, strides)
            raise ValueError("a tensor's shape, strides and offset are not whole numbers")
        case (Tensor() as tensor, *_) if name in REBUILD_PARAMETER:
            return tensor
    return NotRun(name)


def _are_whole(numbers: Any) -> bool:
    return isinstance(numbers, tuple) and all(type(number) is int for number in numbers)


def _storage(identity: Any) -> Storage:
    match identity:
        case ("storage", Global(kind), str(key), str(), int(numel), *view):
            pass
        case _:
            raise ValueError("its pickle names numbers in an unknown way")
    match view:
        case [] | [None]:
            return Storage(kind, key, numel)
        case [(str(), int(start), int(size))]:  # before PyTorch 0.4, a part of another storage
            return Storage(kind, key, numel, start, size)
    raise ValueError(f"its pickle names the numbers {key!r} in an unknown way")
