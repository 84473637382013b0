"""Checkpoints as training scripts and old versions of PyTorch wrote them load, or say why not."""

from __future__ import annotations

import logging
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import keras
import numpy as np
import pytest
from torch_samples import Call, Named, Writer, write_legacy, write_zip
from weight_samples import cifar_shapes, state_dict

from keras_resnet import CifarResNet, weights
from keras_resnet.weights import porting, torch_files

WRITERS = pytest.mark.parametrize("write", [write_zip, write_legacy])
NAMESPACE = Call(
    Named("argparse", "Namespace"), attributes={"lr": 0.1, "arch": "resnet8"}, new=True
)
MODEL = Call(Named("torchvision.models.resnet", "ResNet"), attributes={"training": True}, new=True)


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return state_dict(cifar_shapes(8))


@pytest.fixture(scope="module")
def expected(arrays) -> dict[str, np.ndarray]:
    return porting.from_torch(arrays)


def assert_holds(path: Path, expected: dict[str, np.ndarray]) -> None:
    found = weights.read(str(path))
    assert found.keys() - {"n_averaged"} == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array, err_msg=key)


def prefixed(arrays: dict[str, np.ndarray], prefix: str) -> OrderedDict:
    return OrderedDict((prefix + name, array) for name, array in arrays.items())


def optimizer(arrays: dict[str, np.ndarray]) -> dict:
    state = {
        i: {"momentum_buffer": np.asarray(array + 1)} for i, array in enumerate(arrays.values())
    }
    return {"state": state, "param_groups": [{"lr": 0.1, "params": list(state)}]}


@pytest.mark.parametrize("python", [2, 3])
@pytest.mark.parametrize("rebuild", ["_rebuild_tensor", "_rebuild_tensor_v2"])
@pytest.mark.parametrize("location", ["cpu", "cuda:0"])
def test_files_of_old_pytorch_load(arrays, expected, tmp_path, python, rebuild, location):
    """As the best-known CIFAR-10 ResNets were published: from a GPU, by DataParallel."""
    checkpoint = {"state_dict": prefixed(arrays, "module."), "best_prec1": 91.7, "epoch": 2**40}
    options = {"python": python, "rebuild": rebuild, "location": location}
    assert_holds(write_legacy(tmp_path / "resnet8.th", checkpoint, **options), expected)


@WRITERS
@pytest.mark.parametrize("rebuild", ["_rebuild_tensor", "_rebuild_tensor_v2"])
def test_the_files_of_these_tests_are_what_pytorch_reads(arrays, tmp_path, write, rebuild):
    torch = pytest.importorskip("torch")
    path = write(tmp_path / "net.pth", {"state_dict": OrderedDict(arrays)}, rebuild=rebuild)
    theirs = torch.load(path, weights_only=rebuild != "_rebuild_tensor")["state_dict"]
    ours = torch_files.read(str(path))
    assert theirs.keys() == ours.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(theirs[name].numpy(), array)
        np.testing.assert_array_equal(ours[name], array)


def test_parts_of_a_storage_are_read_as_pytorch_reads_them(tmp_path):
    """Before PyTorch 0.4 a storage could be a part of another: (key, first number, size)."""
    whole = np.arange(10, dtype="f4")
    writer = Writer()
    identity = ("storage", Named("torch", "FloatStorage"), "0", "cpu", 10, ("1", 3, 6))
    persistent = writer.opcodes(identity) + b"Q"
    rest = b"".join(map(writer.opcodes, (1, (2, 2), (2, 1))))
    tensor = writer.opcodes(Named("torch._utils", "_rebuild_tensor")) + b"(" + persistent + rest
    pickled = b"\x80\x02}" + writer.opcodes("a.weight") + tensor + b"tRs."
    system = {"little_endian": True}
    opening = b"".join(map(writer.dumps, (torch_files.LEGACY_MAGIC, 1001, system)))
    numbers = writer.dumps(["0"]) + struct.pack("<q", 10) + whole.tobytes()
    (tmp_path / "net.pth").write_bytes(opening + pickled + numbers)
    found = torch_files.read(str(tmp_path / "net.pth"))["a.weight"]
    np.testing.assert_array_equal(found, [[4, 5], [6, 7]])


@WRITERS
@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "model.", "backbone.", "_orig_mod.", "module.backbone.", "net._orig_mod."],
)
def test_prefixes_are_found(arrays, expected, tmp_path, write, prefix):
    assert_holds(write(tmp_path / "net.pth", prefixed(arrays, prefix)), expected)


@WRITERS
@pytest.mark.parametrize(
    ("ending", "wrap"),
    [
        ("pth", lambda sd, opt: {"net": sd, "acc": 91.2, "epoch": 199}),
        ("pth", lambda sd, opt: {"model": sd, "optimizer": opt, "args": NAMESPACE, "epoch": 3}),
        ("pt", lambda sd, opt: {"optimizer_state_dict": opt, "model_state_dict": sd}),
        ("pth.tar", lambda sd, opt: {"arch": "resnet8", "optimizer": opt, "state_dict": sd}),
        ("bin", lambda sd, opt: {"anything": sd, "loss": 0.3}),
        ("pth", lambda sd, opt: {"model": {"state_dict": sd}, "scaler": {"scale": 65536.0}}),
        (
            "ckpt",  # PyTorch Lightning's
            lambda sd, opt: {
                "pytorch-lightning_version": "2.0",
                "state_dict": prefixed(sd, "model."),
                "optimizer_states": [opt],
                "callbacks": {
                    ("ModelCheckpoint", (1, 2)): {"best": Call(Named("pathlib", "Path"))}
                },
                "hyper_parameters": Call(Named("lightning", "AttributeDict"), new=True),
            },
        ),
        ("pth", lambda sd, opt: {"epoch": 1, "state_dict_ema": sd}),
        (
            "pth",
            lambda sd, opt: {"model_ema": {"n_averaged": np.array(7), **prefixed(sd, "module.")}},
        ),
    ],
)
def test_training_scripts_checkpoints_load(arrays, expected, tmp_path, write, ending, wrap):
    checkpoint = wrap(OrderedDict(arrays), optimizer(arrays))
    assert_holds(write(tmp_path / f"net.{ending}", checkpoint), expected)


@WRITERS
def test_the_networks_own_weights_precede_a_moving_average(
    arrays, expected, tmp_path, write, caplog
):
    average = OrderedDict(
        (name, np.asarray(array + array.dtype.type(1))) for name, array in arrays.items()
    )
    path = write(tmp_path / "net.pth", {"model_ema": average, "model": OrderedDict(arrays)})
    with caplog.at_level(logging.WARNING, "keras_resnet"):
        assert_holds(path, expected)
    assert "took its state dict 'model', and left out 'model_ema'" in caplog.text


def test_half_precision_and_transposed_arrays_load(arrays, tmp_path):
    halves = {n: a.astype("f2") if a.dtype.kind == "f" else a for n, a in arrays.items()}
    halves["linear.weight"] = np.asfortranarray(halves["linear.weight"])
    writer = Writer()
    assert b"FloatStorage" not in writer.dumps(halves)
    columns = np.ascontiguousarray(halves["linear.weight"].T)
    path = write_zip(tmp_path / "net.pth", halves)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[f"archive/data/{list(halves).index('linear.weight')}"] = columns.tobytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    top = weights.read(str(path))["predictions/kernel"]
    np.testing.assert_array_equal(top, columns)


@WRITERS
def test_a_users_own_layers_are_left_out_and_said(arrays, expected, tmp_path, write, caplog):
    own = {"head.0.weight": np.ones((5, 64), "f4"), "criterion.weight": np.ones(5, "f4")}
    body = {name: array for name, array in arrays.items() if not name.startswith("linear")}
    path = write(tmp_path / "net.pth", prefixed(body, "backbone.") | own)
    with caplog.at_level(logging.WARNING, "keras_resnet"):
        model = CifarResNet(8, weights=path, include_top=False)
    kernel = keras.ops.convert_to_numpy(model.get_layer("conv4_block1_2_conv").kernel)
    np.testing.assert_array_equal(kernel, expected["conv4_block1_2_conv/kernel"])
    assert "left out 'head.0.weight', 'criterion.weight'" in caplog.text
    with pytest.raises(ValueError, match=r"predictions/kernel' is missing.*'head.0.*include_top"):
        CifarResNet(8, weights=path)


@WRITERS
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda sd: MODEL, r"whole pickled object, of torchvision.models.resnet ResNet"),
        (
            lambda sd: {"model": MODEL, "epoch": 3},
            r"'model' is a whole pickled object.*\['model'\]",
        ),
        (
            lambda sd: {"generator": sd, "critic": dict(sd)},
            "several state dicts, 'generator', 'cri",
        ),
        (lambda sd: prefixed(sd, "encoder_q.") | prefixed(sd, "encoder_k."), "several networks"),
        (lambda sd: {"features.0.weight": np.ones(3, "f4")}, "no array 'layer1.0.conv1.weight'"),
        (lambda sd: sd | {"layer1.0.se.fc.weight": np.ones(3, "f4")}, "se.fc.weight' has no place"),
        (lambda sd: sd | {"conv1.0.weight": np.ones(3, "f4")}, "'conv1.0.weight' has no place"),
        (lambda sd: {"epoch": 3, "lr": 0.1}, "holds no state dict"),
        (lambda sd: sd | {"bn1.weight": NAMESPACE}, "'bn1.weight' of its state dict is a call of"),
        (lambda sd: sd | {"bn1.weight": None}, "'bn1.weight' of its state dict is NoneType"),
    ],
)
def test_what_does_not_fit_is_refused_for_the_true_reason(arrays, tmp_path, write, change, message):
    path = write(tmp_path / "net.pth", change(dict(arrays)))
    with pytest.raises(ValueError, match=message) as caught:
        weights.read(str(path))
    assert "net.pth cannot be loaded: " in str(caught.value)
    assert "damaged" not in str(caught.value)
    if "pickled" in message:
        assert "nothing of it was run" in str(caught.value)
        assert "torch.load(path, weights_only=False)" in str(caught.value)
        assert ".state_dict(), 'weights.pth')" in str(caught.value)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(bytes(257) + b"ustar" + bytes(300)), "a tar archive"),
        (lambda path: path.write_bytes(Writer().dumps({"a": 1})), "a pickle, but none that torch"),
        (lambda path: zip_of(path, "notes.txt"), "a zip archive, but not one that torch.save"),
        (lambda path: zip_of(path, "net/data.pkl", "net/constants.pkl"), "a TorchScript program"),
    ],
)
def test_other_formats_are_named(tmp_path, write, message):
    write(tmp_path / "net.pt")
    with pytest.raises(ValueError, match=f"net.pt cannot be loaded: it is {message}"):
        weights.read(str(tmp_path / "net.pt"))


def zip_of(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"")


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_whole_models_of_pytorch_itself_are_named(tmp_path, legacy):
    torch = pytest.importorskip("torch")
    path = tmp_path / "net.pth"
    whole = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    for saved in (whole, {"model": whole, "epoch": 3}):
        torch.save(saved, path, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(ValueError, match=r"object, of torch.nn.modules.container Sequential"):
            weights.read(str(path))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_other_pickle_protocols_are_read(tmp_path, arrays, expected, legacy, protocol):
    torch = pytest.importorskip("torch")
    tensors = {key: torch.from_numpy(array.copy()) for key, array in arrays.items()}
    beside = {"seen": {1, 2}, "classes": frozenset("ab"), "raw": b"ab", "epoch": 3}
    saved = {"state_dict": tensors, **beside, "names": [f"{i}.png" for i in range(300)]}
    path = tmp_path / "net.pth"
    zipped = not legacy
    torch.save(saved, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    assert_holds(path, expected)
