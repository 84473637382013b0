"""Hostile archives and HDF5 files: nothing is run, nothing outside is read, no memory exhausted."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from weight_samples import (
    assert_refused,
    cifar_shapes,
    randomize,
    state_dict,
    write_published_h5,
)

from keras_resnet import CifarResNet, ResNet50
from keras_resnet.weights import porting


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return randomize(CifarResNet(8))


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
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


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
