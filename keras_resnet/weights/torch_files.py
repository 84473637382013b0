"""Reads the arrays of a PyTorch state dict without PyTorch, and without running its pickle.

A file holds a pickle that describes tensors, and their numbers beside it: as members of a zip
archive (PyTorch >= 1.6) or one after the other (before).
"""

from __future__ import annotations

import logging
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import numpy as np

from keras_resnet.weights import bfloat16
from keras_resnet.weights.errors import UnsuitableFileError
from keras_resnet.weights.names import some
from keras_resnet.weights.torch_pickle import NotRun, Pickle, Storage, Tensor, interpret

LOGGER = logging.getLogger("keras_resnet")

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # opens a file in the format before the zip archives
LEGACY_PROTOCOL = 1001

STORAGES: Mapping[str, np.dtype[Any]] = {
    "torch DoubleStorage": np.dtype("<f8"),
    "torch FloatStorage": np.dtype("<f4"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch BFloat16Storage": np.dtype("<u2"),  # its bits; see _tensor
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
    "torch ShortStorage": np.dtype("<i2"),
    "torch CharStorage": np.dtype("<i1"),
    "torch ByteStorage": np.dtype("<u1"),
    "torch BoolStorage": np.dtype("?"),
    "torch ComplexFloatStorage": np.dtype("<c8"),
    "torch ComplexDoubleStorage": np.dtype("<c16"),
}
BFLOAT16 = "torch BFloat16Storage"
BIG_ENDIAN = "its numbers are big-endian; save it again on a little-endian machine"
# The names under which training scripts save the network's state dict, the most likely first;
# a moving average of the weights stands beside it, as `model_ema` for example.
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network")
DEEPEST_WRAPPER = 4
ADVICE = (
    "nothing of it was run. If you trust its origin, open it where PyTorch is installed, and save "
    "the state dict alone: torch.save({}.state_dict(), 'weights.pth')"
)


def read(path: str) -> dict[str, np.ndarray]:
    """The arrays of a PyTorch file by name, such as `{"conv1.weight": (64, 3, 7, 7)}`.

    The state dict may be the file's whole content, or stand in a training script's dict, such as
    `{"state_dict": ..., "epoch": 90}`. Of several, the network's own is taken before a moving
    average; the log says which are left out.

    Raises:
        ValueError: If the file holds no state dict, or is damaged.
        OSError: If it cannot be read.
    """
    size = os.path.getsize(path)
    if zipfile.is_zipfile(path):
        return _read_zip(path, size)
    with open(path, "rb") as file:
        return _read_legacy(path, file, size)


def _read_zip(path: str, size: int) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        # torch.save compresses nothing, so members larger than the file are a zip bomb.
        if sum(member.file_size for member in archive.infolist()) > size:
            raise ValueError("its members are larger than the file; torch.save writes no such file")
        names = archive.namelist()
        pickles = [name for name in names if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise UnsuitableFileError("it is a zip archive, but not one that torch.save wrote")
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}constants.pkl" in names:
            raise UnsuitableFileError(
                "it is a TorchScript program; " + ADVICE.format("torch.jit.load(path)")
            )
        byteorder = f"{root}byteorder"  # absent before PyTorch 2.1
        if byteorder in names and archive.read(byteorder) != b"little":
            raise UnsuitableFileError(BIG_ENDIAN)
        with archive.open(pickles[0]) as file:
            tensors = _state_dict(path, interpret(file).value)

        def load(storage: Storage) -> bytes:
            return archive.read(f"{root}data/{storage.key}")

        return _arrays(tensors, load, size)


def _read_legacy(path: str, file: IO[bytes], size: int) -> dict[str, np.ndarray]:
    file.seek(257)
    if file.read(5) == b"ustar":
        raise UnsuitableFileError(
            "it is a tar archive, which PyTorch wrote before its version 0.1.10; "
            + ADVICE.format("torch.load(path)")
        )
    file.seek(0)
    if interpret(file).value != LEGACY_MAGIC or interpret(file).value != LEGACY_PROTOCOL:
        raise UnsuitableFileError(
            "it is a pickle, but none that torch.save wrote; " + ADVICE.format("model")
        )
    if interpret(file).value.get("little_endian") is not True:
        raise UnsuitableFileError(BIG_ENDIAN)
    pickle = interpret(file)
    tensors = _state_dict(path, pickle.value)
    wanted = {tensor.storage.key for tensor in tensors.values()}
    numbers = dict(_legacy_numbers(file, pickle, wanted, size))
    return _arrays(tensors, lambda storage: numbers[storage.key], size)


def _legacy_numbers(
    file: IO[bytes], pickle: Pickle, wanted: set[str], size: int
) -> Iterator[tuple[str, bytes]]:
    """Yields the bytes of the wanted storages; others, such as an optimizer's, are passed over."""
    for key in interpret(file).value:
        if key not in pickle.storages:
            raise ValueError(f"its numbers {key!r} belong to no tensor")
        count = int.from_bytes(file.read(8), "little") * _dtype(pickle.storages[key]).itemsize
        if count > size:
            raise ValueError(f"its numbers {key!r} are larger than the file")
        if key in wanted:
            yield key, file.read(count)
        else:
            file.seek(count, os.SEEK_CUR)


def _state_dict(path: str, value: Any) -> dict[str, Tensor]:
    """The dict of tensors, taken out of a training script's checkpoint."""
    for _ in range(DEEPEST_WRAPPER):
        key = None if _is_state_dict(value) else _wrapper(path, value)
        if key is None:
            break
        value = value[key]
    if not _is_state_dict(value):
        _refuse_models(value)
        raise UnsuitableFileError("it holds no state dict; " + ADVICE.format("model"))
    tensors = {key: one for key, one in value.items() if isinstance(one, Tensor)}
    for name in (name for name in value if name not in tensors):
        one = value[name]
        if not isinstance(name, str) or "." in name:  # which belongs to a layer, unlike "epoch"
            called = f"a call of {one.function}" if isinstance(one, NotRun) else type(one).__name__
            raise UnsuitableFileError(
                f"the entry {name!r} of its state dict is {called}, not a tensor; "
                + ADVICE.format("model")
            )
    return tensors


def _is_state_dict(value: Any) -> bool:
    """Whether a value is a dict in which layers' arrays, such as `conv1.weight`, stand."""
    return isinstance(value, dict) and any(
        isinstance(key, str) and "." in key and isinstance(one, Tensor | NotRun)
        for key, one in value.items()
    )


def _wrapper(path: str, value: Any) -> str | None:
    """The key of a checkpoint under which the network's state dict stands."""
    if not isinstance(value, dict):
        return None
    dicts = {key: one for key, one in value.items() if isinstance(key, str)}
    distinct = {id(one): one for one in dicts.values()}
    hits = {place for place, one in distinct.items() if _is_state_dict(one)}
    found = [key for key, one in dicts.items() if id(one) in hits]
    if not found:
        return next((key for key in WRAPPERS if isinstance(value.get(key), dict)), None)
    best = next((key for key in WRAPPERS if key in found), found[0])
    others = [key for key in found if key != best]
    if others and best not in WRAPPERS:
        raise UnsuitableFileError(
            f"it holds several state dicts, {some(found)}: save that of the network alone"
        )
    if others or best not in WRAPPERS:
        LOGGER.warning(
            "%s: took its state dict %r%s.",
            path,
            best,
            f", and left out {some(others)}" if others else "",
        )
    return best


def _refuse_models(value: Any) -> None:
    """Refuses whole pickled models, alone or in a checkpoint."""
    if isinstance(value, NotRun):
        raise UnsuitableFileError(
            f"it is a whole pickled object, of {value.function}, and no state dict; "
            + ADVICE.format("torch.load(path, weights_only=False)")
        )
    for key in WRAPPERS if isinstance(value, dict) else ():
        if isinstance(value.get(key), NotRun):
            raise UnsuitableFileError(
                f"its {key!r} is a whole pickled object, of {value[key].function}, and no state "
                "dict; " + ADVICE.format(f"torch.load(path, weights_only=False)[{key!r}]")
            )


def _dtype(storage: Storage) -> np.dtype[Any]:
    if storage.type not in STORAGES:
        raise UnsuitableFileError(
            f"its numbers are of the type {storage.type!r}, which is not read"
        )
    return STORAGES[storage.type]


def _arrays(
    tensors: Mapping[str, Tensor], load: Callable[[Storage], bytes], size: int
) -> dict[str, np.ndarray]:
    numbers: dict[Storage, np.ndarray] = {}
    arrays = {}
    # Thousands of tensors over one storage could ask for any memory.
    if sum(math.prod(t.shape) * _dtype(t.storage).itemsize for t in tensors.values()) > size:
        raise ValueError("its tensors are larger than the file")
    for name, tensor in tensors.items():
        if tensor.storage not in numbers:
            numbers[tensor.storage] = _numbers(tensor.storage, load)
        try:
            arrays[name] = _tensor(tensor, numbers[tensor.storage])
        except ValueError as error:
            raise ValueError(f"the array {name!r} is damaged: {error}") from error
    return arrays


def _numbers(storage: Storage, load: Callable[[Storage], bytes]) -> np.ndarray:
    numbers: np.ndarray = np.frombuffer(load(storage), _dtype(storage))
    if numbers.size != storage.numel:
        raise ValueError(f"its storage has {numbers.size} numbers, of {storage.numel}")
    size = numbers.size - storage.start if storage.size is None else storage.size
    if not 0 <= storage.start <= storage.start + size <= numbers.size:
        raise ValueError(f"a part of its storage reaches beyond the {numbers.size} numbers")
    return numbers[storage.start : storage.start + size]


def _tensor(tensor: Tensor, numbers: np.ndarray) -> np.ndarray:
    shape, strides, offset = tensor.shape, tensor.strides, tensor.offset
    if any(n < 0 for n in (*shape, *strides, offset)) or len(shape) != len(strides):
        raise ValueError(f"shape {shape}, strides {strides}, offset {offset}")
    last = sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    # The first: a stride of 0 repeats numbers, so that a small file could ask for any memory.
    count: int = math.prod(shape)
    if count > numbers.size or (count and offset + last >= numbers.size):
        raise ValueError(f"shape {shape} reaches beyond its {numbers.size} numbers")
    view = np.lib.stride_tricks.as_strided(
        numbers[offset:], shape, [stride * numbers.itemsize for stride in strides], writeable=False
    )
    return bfloat16.from_bits(view) if tensor.storage.type == BFLOAT16 else np.array(view)
