"""Hostile pickles: nothing in them is run, no memory or time is exhausted."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from torch_samples import Writer
from weight_samples import assert_refused, randomize

from keras_resnet import CifarResNet
from keras_resnet.weights import torch_files


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return randomize(CifarResNet(8))


def zip_of_pickle(path: Path, content: bytes, storages: dict[str, bytes] | None = None) -> Path:
    """A PyTorch file whose description is any pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        for key, numbers in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", numbers)
    return path


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("place", ["in the state dict", "as the whole", "as a storage"])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickles_calls_are_not_run(model, tmp_path, place, legacy, protocol):
    canary = tmp_path / "canary"
    call = Call(os.mkdir, str(canary))
    value = {"in the state dict": {"conv1.weight": call}, "as the whole": call}.get(place)
    if value is None:

        class Pickler(pickle.Pickler):
            def persistent_id(self, value):
                return ("storage", call, "0", "cpu", 1) if value == "the storage" else None

        written = io.BytesIO()
        Pickler(written, protocol).dump({"conv1.weight": "the storage"})
        content = written.getvalue()
    else:
        content = pickle.dumps(value, protocol)
        pickle.loads(content)  # the file is a real one: Python's own unpickler runs it
        assert canary.exists()
        canary.rmdir()
    path = tmp_path / "net.pth"
    if legacy:
        opening = [torch_files.LEGACY_MAGIC, torch_files.LEGACY_PROTOCOL, {"little_endian": True}]
        path.write_bytes(b"".join(pickle.dumps(v, protocol) for v in opening) + content)
    else:
        zip_of_pickle(path, content)
    assert_refused(model, path, "nothing of it was run" if place != "as a storage" else None)
    assert not canary.exists()


def test_a_pickle_in_text_is_refused(model, tmp_path):
    content = pickle.dumps({"conv1.weight": 1}, protocol=0)
    assert_refused(model, zip_of_pickle(tmp_path / "net.pth", content), "torch.save never writes")


def test_memo_bombs_cost_nothing(model, tmp_path):
    """`pickle` itself would reserve memory for four billion entries."""
    bomb = b"\x80\x02N" + b"r" + struct.pack("<I", 2**32 - 1) + b"."
    assert_refused(model, zip_of_pickle(tmp_path / "net.pth", bomb), "no state dict")


def state_dict_pickle(
    name: str, numel: int, shape: tuple, strides: tuple, offset: int = 0
) -> bytes:
    """One tensor's description, in the opcodes that torch.save writes."""
    torch = pytest.importorskip("torch")
    storage = object()

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if value is storage:
                return ("storage", torch.FloatStorage, "0", "cpu", numel)

    rebuild = Call(torch._utils._rebuild_tensor_v2, storage, offset, shape, strides, False, {})
    written = io.BytesIO()
    Pickler(written, protocol=2).dump({name: rebuild})
    return written.getvalue()


@pytest.mark.parametrize(
    ("numel", "shape", "strides", "offset"),
    [
        (4, (10**6, 10**6), (0, 0), 0),  # one number, repeated
        (4, (5,), (1,), 0),  # one too many
        (4, (4,), (1,), 1),  # begins too late
        (4, (2, 2), (3, 1), 0),  # strides reach beyond
        (4, (2,), (-1,), 3),  # backwards
        (4, (-4,), (1,), 0),
        (4, (4,), (1,), -1),
        (4, (2, 2), (1,), 0),  # ranks differ
        (10**12, (4,), (1,), 0),  # another number of numbers than there are
    ],
)
def test_tensors_that_reach_beyond_their_numbers_are_refused(
    model, tmp_path, numel, shape, strides, offset
):
    content = state_dict_pickle("conv1.weight", numel, shape, strides, offset)
    path = zip_of_pickle(tmp_path / "net.pth", content, {"0": np.zeros(4, "f").tobytes()})
    assert_refused(model, path)


def nested_tuple(depth: int) -> bytes:
    """Opcodes of ((((), ()), ((), ())), ...): 2 ** depth empty tuples, each pair stored once."""
    return b")" + b"q\x00h\x00\x86" * depth


@pytest.mark.parametrize(
    "content",
    [
        b"}" + nested_tuple(60) + b"K\x01s.",  # as a dict's key, it would be hashed
        nested_tuple(60) + b"Q.",  # as a storage's name, it would stand in an error
        b"c" + b"a\nb\n" + nested_tuple(60) + b"R.",  # as arguments
    ],
)
def test_values_that_would_take_for_ever_to_go_through_cost_nothing(model, tmp_path, content):
    assert_refused(model, zip_of_pickle(tmp_path / "net.pth", b"\x80\x02" + content))


def test_shapes_that_are_no_numbers_reserve_no_memory(model, tmp_path):
    """`math.prod((10 ** 9, [0]))` would be a list of a thousand million zeros."""
    writer = Writer()
    whole = writer.tensor(np.zeros(4, "f4"))
    shape = writer.opcodes((4,))
    tensor = whole.replace(shape, b"(" + writer.opcodes(10**9) + writer.opcodes([0]) + b"t", 1)
    content = b"\x80\x02}" + writer.opcodes("conv1.weight") + tensor + b"s."
    path = zip_of_pickle(tmp_path / "net.pth", content, {"0": np.zeros(4, "f").tobytes()})
    assert_refused(model, path, "are not whole numbers")


def test_a_valid_description_of_that_kind_is_read(tmp_path):
    """The control of the test above: nothing but the faults is refused."""
    content = state_dict_pickle("conv1.weight", 4, (2, 2), (1, 2))
    path = zip_of_pickle(tmp_path / "net.pth", content, {"0": np.arange(4, dtype="f").tobytes()})
    found = torch_files.read(str(path))["conv1.weight"]
    np.testing.assert_array_equal(found, [[0, 2], [1, 3]])
