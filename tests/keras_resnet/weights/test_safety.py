"""Hostile files: nothing in them is run, nothing outside them is read, no memory is exhausted."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from weight_samples import cifar_shapes, randomize, state_dict, values, write_published_h5

from keras_resnet import CifarResNet, ResNet50, weights
from keras_resnet.architectures import cifar_architecture
from keras_resnet.weights import porting, torch_files

ARCHITECTURE = cifar_architecture(8)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return randomize(CifarResNet(8))


def assert_refused(model: keras.Model, path: Path, message: str = "") -> None:
    """A ValueError that names the file, and a model that is as it was."""
    before = values(model)
    with pytest.raises(ValueError, match=message) as caught:
        weights.load(model, str(path), ARCHITECTURE)
    assert path.name in str(caught.value)
    for found, expected in zip(values(model), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def zip_of_pickle(path: Path, content: bytes, storages: dict[str, bytes] | None = None) -> Path:
    """A PyTorch file whose description is any pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        for key, numbers in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", numbers)
    return path


# ---- pickles


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("place", ["in the state dict", "as the whole", "as a storage"])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_pickles_calls_are_not_run(model, tmp_path, place, legacy):
    canary = tmp_path / "canary"
    call = Call(os.mkdir, str(canary))
    value = {"in the state dict": {"conv1.weight": call}, "as the whole": call}.get(place)
    if value is None:

        class Pickler(pickle.Pickler):
            def persistent_id(self, value):
                return ("storage", call, "0", "cpu", 1) if value == "the storage" else None

        written = io.BytesIO()
        Pickler(written, protocol=2).dump({"conv1.weight": "the storage"})
        content = written.getvalue()
    else:
        content = pickle.dumps(value, protocol=2)
        pickle.loads(content)  # the file is a real one: Python's own unpickler runs it
        assert canary.exists()
        canary.rmdir()
    path = tmp_path / "net.pth"
    if legacy:
        magic, protocol = torch_files.LEGACY_MAGIC, torch_files.LEGACY_PROTOCOL
        opening = [magic, protocol, {"little_endian": True}]
        path.write_bytes(b"".join(pickle.dumps(v, protocol=2) for v in opening) + content)
    else:
        zip_of_pickle(path, content)
    assert_refused(model, path, "nothing was run" if place != "as a storage" else "")
    assert not canary.exists()


@pytest.mark.parametrize("protocol", [0, 1, 3, 4, 5])
def test_other_pickle_protocols_are_refused(model, tmp_path, protocol):
    content = pickle.dumps({"conv1.weight": 1}, protocol=protocol)
    assert_refused(model, zip_of_pickle(tmp_path / "net.pth", content))


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


def test_a_valid_description_of_that_kind_is_read(tmp_path):
    """The control of the test above: nothing but the faults is refused."""
    content = state_dict_pickle("conv1.weight", 4, (2, 2), (1, 2))
    path = zip_of_pickle(tmp_path / "net.pth", content, {"0": np.arange(4, dtype="f").tobytes()})
    found = torch_files.read(str(path))["conv1.weight"]
    np.testing.assert_array_equal(found, [[0, 2], [1, 3]])


# ---- archives


def test_zip_bombs_are_not_unpacked(model, tmp_path):
    for name, member in [("net.pth", "archive/data.pkl"), ("net.keras", "model.weights.h5")]:
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, b"\0" * 10**7)
        assert_refused(model, tmp_path / name, "larger than the file")


def test_a_keras_files_configuration_is_never_run(model, tmp_path):
    """`.keras` files carry a configuration, in which a Lambda layer could carry code."""
    canary = tmp_path / "canary"
    code = f"__import__('os').mkdir({str(canary)!r})"
    good, bad = tmp_path / "good.keras", tmp_path / "bad.keras"
    model.save(good)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                content = json.dumps({"class_name": "Lambda", "config": code}).encode()
            target.writestr(name, content)
    loaded = CifarResNet(8, weights=bad)
    assert not canary.exists()
    np.testing.assert_array_equal(values(loaded)[0], values(model)[0])


# ---- HDF5


@pytest.fixture
def hdf5(model, tmp_path) -> Path:
    model.save_weights(tmp_path / "net.weights.h5")
    return tmp_path / "net.weights.h5"


KERNEL = "layers/conv2d/vars/0"


def test_links_to_other_files_are_not_followed(model, hdf5, tmp_path):
    shutil.copy(hdf5, tmp_path / "other.h5")
    with h5py.File(hdf5, "r+") as file:
        del file[KERNEL]
        file[KERNEL] = h5py.ExternalLink("other.h5", KERNEL)
    assert_refused(model, hdf5, "link")


def test_external_storage_is_not_read(model, hdf5, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(4 * 3 * 3 * 3 * 16))
    with h5py.File(hdf5, "r+") as file:
        del file[KERNEL]
        outside = [(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset(KERNEL, (3, 3, 3, 16), "f4", external=outside)
    assert_refused(model, hdf5, "not stored in the file itself")


def test_virtual_datasets_are_not_read(model, hdf5, tmp_path):
    shutil.copy(hdf5, tmp_path / "other.h5")
    layout = h5py.VirtualLayout((3, 3, 3, 16), "f4")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", KERNEL, (3, 3, 3, 16))
    with h5py.File(hdf5, "r+") as file:
        del file[KERNEL]
        file.create_virtual_dataset(KERNEL, layout)
    assert_refused(model, hdf5, "not stored in the file itself")


def test_arrays_that_only_claim_their_size_are_refused(model, hdf5):
    with h5py.File(hdf5, "r+") as file:
        del file[KERNEL]
        file.create_dataset(KERNEL, (10**6, 10**6), "f4", chunks=(100, 100))  # 4 TB, unwritten
    assert_refused(model, hdf5, "larger than the file")


def test_damaged_heaps_of_names_do_not_hang(model, hdf5):
    """Zeros in a heap's first object make HDF5 walk for ever."""
    content = bytearray(hdf5.read_bytes())
    at = content.find(b"GCOL")
    assert at > 0
    content[at + 16 : at + 32] = bytes(16)
    hdf5.write_bytes(content)
    assert_refused(model, hdf5, "names of its layers are damaged")


def test_attributes_of_another_type_are_not_read(model, tmp_path):
    path = tmp_path / "net.h5"
    write_published_h5(model, path)
    with h5py.File(path, "r+") as file:
        pointers = np.array([np.arange(3), np.arange(2)], dtype=object)
        file["conv1_bn"].attrs.create("weight_names", pointers, dtype=h5py.vlen_dtype("i4"))
    assert_refused(model, path, "'weight_names' holds no texts")


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "type", "twice"])
def test_hdf5_files_that_do_not_fit(model, hdf5, change):
    with h5py.File(hdf5, "r+") as file:
        if change == "missing":
            del file["layers/batch_normalization_2"]
        elif change == "extra":
            file.copy("layers/conv2d", "layers/conv2d_99")
            file["layers/conv2d_99/vars"].attrs["name"] = "conv9_block9_1_conv"
        elif change == "twice":
            file.copy("layers/conv2d", "layers/conv2d_99")
        else:
            old = file[KERNEL][()]
            del file[KERNEL]
            file[KERNEL] = old[..., :8] if change == "shape" else old.astype("int32")
    messages = {
        "missing": r"'conv2_block1_2_bn/gamma' is missing",
        "extra": "no place for 'conv9_block9_1_conv/kernel'",
        "twice": "'conv1_conv/kernel' occurs twice",
        "shape": r"'conv1_conv/kernel' is float32 of shape \(3, 3, 3, 8\).*\(3, 3, 3, 16\)",
        "type": "'conv1_conv/kernel' is int32",
    }
    assert_refused(model, hdf5, messages[change])


# ---- all kinds


@pytest.mark.parametrize(
    "name", ["net.weights.h5", "net.keras", "net.h5", "net.safetensors", "net.pth", "net.th"]
)
@pytest.mark.parametrize("content", [b"", b"\0" * 1000, b"<html>404</html>", b"PK\x03\x04"])
def test_what_is_no_weights_file_is_refused(model, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert_refused(model, tmp_path / name, "damaged or no weights file")


def test_a_constructor_names_a_damaged_file_before_anything_is_built(tmp_path):
    (tmp_path / "net.safetensors").write_bytes(b"<html>404</html>")
    with pytest.raises(ValueError, match=r"net\.safetensors is damaged"):
        ResNet50(weights=tmp_path / "net.safetensors")


def test_a_safetensors_file_of_another_net_is_named(model, tmp_path):
    save = pytest.importorskip("safetensors.numpy").save_file
    arrays = state_dict(cifar_shapes(8))
    del arrays["layer3.0.conv1.weight"]
    save(arrays, tmp_path / "net.safetensors")
    assert_refused(model, tmp_path / "net.safetensors", "'conv4_block1_1_conv/kernel' is missing")
    assert porting.from_torch(arrays)  # all the other names are right
