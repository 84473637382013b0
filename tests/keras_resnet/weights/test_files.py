"""Every kind of weights file gives the network that wrote it."""

from __future__ import annotations

import sys
from functools import partial

import keras
import numpy as np
import pytest
from large_nets import named_net, undrawn
from weight_samples import (
    cifar_shapes,
    images,
    outputs,
    randomize,
    relative_error,
    state_dict,
    write_published_h5,
)

import keras_resnet
from keras_resnet import CifarResNet, ResNet, ResNet50, resnet, weights
from keras_resnet.weights import porting, transfer

TINY = keras_resnet.Architecture("tiny", "imagenet", "bottleneck", (1, 1), (8, 16), "B")
TOLERANCE = 1e-5  # relative, float32


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    return randomize(CifarResNet(8))


@pytest.mark.parametrize("ending", ["weights.h5", "keras", "h5"])
def test_keras_files_come_back_exactly(trained, ending, tmp_path):
    path = tmp_path / f"net.{ending}"
    (trained.save_weights if ending == "weights.h5" else trained.save)(path)
    loaded = CifarResNet(8, weights=path)
    np.testing.assert_equal(loaded.get_weights(), trained.get_weights())


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["weights.h5", "keras"])
def test_a_trained_models_optimizer_is_left_in_the_file(ending, tmp_path):
    model = CifarResNet(8)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    model.fit(images((4, 32, 32, 3)), np.arange(4), epochs=1, verbose=0)
    path = tmp_path / f"net.{ending}"
    (model.save_weights if ending == "weights.h5" else model.save)(path)
    x = images((2, 32, 32, 3))
    np.testing.assert_array_equal(outputs(CifarResNet(8, weights=path), x), outputs(model, x))


def test_nested_nets_load_by_name_too(tmp_path, monkeypatch):
    """Nets such as ResNet1202 are chains of models; here a small one is cut likewise."""
    monkeypatch.setattr(resnet, "DEEPEST_FLAT", 10)
    monkeypatch.setattr(resnet, "BLOCKS_PER_SECTION", 2)
    model = randomize(CifarResNet(20))
    assert any(isinstance(layer, keras.Model) for layer in model.layers)
    model.save(tmp_path / "net.keras")
    model.save_weights(tmp_path / "net.weights.h5")
    porting.save_safetensors(model, tmp_path / "net.safetensors")
    for file in ("net.keras", "net.weights.h5", "net.safetensors"):
        loaded = CifarResNet(20, weights=tmp_path / file)
        np.testing.assert_equal(loaded.get_weights(), model.get_weights())


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_cifar_state_dicts_of_pytorch_load_completely(legacy, prefix, tmp_path):
    torch = pytest.importorskip("torch")
    arrays = {prefix + name: array for name, array in state_dict(cifar_shapes(20)).items()}
    tensors = {name: torch.tensor(array) for name, array in arrays.items()}
    path = tmp_path / "resnet20.th"
    checkpoint = {"state_dict": tensors, "epoch": 200, "best_prec1": 91.7}
    torch.save(checkpoint, path, _use_new_zipfile_serialization=not legacy)
    loaded = CifarResNet(20, weights=path)
    assert_holds(loaded, arrays, prefix)


def assert_holds(model: keras.Model, arrays: dict[str, np.ndarray], prefix: str = "") -> None:
    """Spot checks by hand, and every number present once: sums over all arrays agree."""
    kernel = keras.ops.convert_to_numpy(model.get_layer("conv2_block1_2_conv").kernel)
    theirs = arrays[f"{prefix}layer1.0.conv2.weight"]
    np.testing.assert_array_equal(kernel[1, 2, 3, 4], theirs[4, 3, 1, 2])
    norm = model.get_layer("conv4_block3_1_bn")
    for ours, name in [
        ("gamma", "weight"),
        ("beta", "bias"),
        ("moving_mean", "running_mean"),
        ("moving_variance", "running_var"),
    ]:
        found = keras.ops.convert_to_numpy(getattr(norm, ours))
        np.testing.assert_array_equal(found, arrays[f"{prefix}layer3.2.bn1.{name}"])
    top = keras.ops.convert_to_numpy(model.get_layer("predictions").kernel)
    np.testing.assert_array_equal(top.T, arrays[f"{prefix}linear.weight"])
    floats = [a for name, a in arrays.items() if not name.endswith("num_batches_tracked")]
    found_sums = sorted(float(value.sum(dtype="float64")) for value in model.get_weights())
    np.testing.assert_allclose(found_sums, sorted(a.sum(dtype="float64") for a in floats))


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_other_number_types_of_pytorch_are_read(dtype, tmp_path):
    torch = pytest.importorskip("torch")
    tensors = {
        name: torch.tensor(array).to(getattr(torch, dtype)) if array.ndim else torch.tensor(array)
        for name, array in state_dict(cifar_shapes(8)).items()
    }
    torch.save(tensors, tmp_path / "net.pth")
    kernel = CifarResNet(8, weights=tmp_path / "net.pth").get_layer("conv1_conv").kernel
    expected = tensors["conv1.weight"].to(torch.float32).numpy().transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(kernel), expected)


def test_without_the_package_safetensors_is_asked_for(trained, tmp_path, monkeypatch):
    porting.save_safetensors(trained, tmp_path / "net.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors", None)  # as if it were not installed
    with pytest.raises(ImportError, match=r"keras-residual-networks\[weights\]"):
        CifarResNet(8, weights=tmp_path / "net.safetensors")


def test_views_and_parameters_of_pytorch_are_read(tmp_path):
    """Tensors that share a storage, lie transposed in it, or are parameters."""
    torch = pytest.importorskip("torch")
    arrays = state_dict(cifar_shapes(8))
    tensors = {name: torch.tensor(array) for name, array in arrays.items()}
    both = torch.cat([tensors["bn1.weight"], tensors["bn1.bias"]])
    tensors |= {"bn1.weight": both[:16], "bn1.bias": both[16:]}
    tensors["linear.weight"] = tensors["linear.weight"].T.contiguous().T
    tensors["conv1.weight"] = torch.nn.Parameter(tensors["conv1.weight"])
    torch.save(tensors, tmp_path / "net.pth")
    loaded = CifarResNet(8, weights=tmp_path / "net.pth")
    beta = keras.ops.convert_to_numpy(loaded.get_layer("conv1_bn").beta)
    np.testing.assert_array_equal(beta, arrays["bn1.bias"])
    top = keras.ops.convert_to_numpy(loaded.get_layer("predictions").kernel)
    np.testing.assert_array_equal(top, arrays["linear.weight"].T)


# ---- keras.applications


SIZE = {"input_shape": (64, 64, 3), "classifier_activation": None}


@pytest.fixture(scope="module")
def their_resnet50() -> keras.Model:
    with undrawn():
        return randomize(keras.applications.ResNet50(weights=None, **SIZE))


@pytest.mark.slow
@undrawn()
def test_keras_applications_files_give_the_same_outputs(their_resnet50, tmp_path):
    path = tmp_path / "published.h5"
    write_published_h5(their_resnet50, path)
    assert_same_outputs(their_resnet50, ResNet50(weights=path, **SIZE))


@pytest.mark.nightly
@pytest.mark.parametrize("depth", [101, 152])
def test_deeper_keras_applications_files_too(depth, tmp_path):
    theirs = randomize(getattr(keras.applications, f"ResNet{depth}")(weights=None, **SIZE))
    path = tmp_path / "published.h5"
    write_published_h5(theirs, path)
    ours = getattr(keras_resnet, f"ResNet{depth}")(weights=path, **SIZE)
    assert_same_outputs(theirs, ours)


@pytest.mark.slow
def test_the_files_of_these_tests_are_what_keras_applications_reads(their_resnet50, tmp_path):
    path = tmp_path / "published.h5"
    write_published_h5(their_resnet50, path)
    expected = their_resnet50.get_weights()
    randomize(their_resnet50, seed=9)
    their_resnet50.load_weights(path)
    np.testing.assert_equal(their_resnet50.get_weights(), expected)


@pytest.mark.slow
@undrawn()
def test_published_files_load_by_order_as_keras_does(their_resnet50, tmp_path):
    """keras.applications goes by the layers' order; names in other files may be swapped."""
    path = tmp_path / "published.h5"
    write_published_h5(their_resnet50, path, rename=lambda name: f"layer_of_{name}")
    ours = ResNet50(weights=None, **SIZE)
    arrays = weights.read(str(path), published_for=keras_resnet.ARCHITECTURES["resnet50"])
    transfer.assign(ours, arrays, "the published file")
    assert_same_outputs(their_resnet50, ours)
    with pytest.raises(
        ValueError, match=r"no layer in it is the network's; it has 'layer_of_conv1"
    ):
        ResNet50(weights=path, **SIZE)


@pytest.mark.slow
@undrawn()
def test_keras_applications_models_saved_by_keras_3(their_resnet50, tmp_path):
    their_resnet50.save_weights(tmp_path / "net.weights.h5")
    assert_same_outputs(their_resnet50, ResNet50(weights=tmp_path / "net.weights.h5", **SIZE))


def assert_same_outputs(theirs: keras.Model, ours: keras.Model) -> None:
    x = images((2, 64, 64, 3))
    assert relative_error(outputs(ours, x), outputs(theirs, x)) < TOLERANCE


# ---- safetensors, out and back


@pytest.mark.parametrize("file", ["net.safetensors", "net.keras"])
@pytest.mark.parametrize("version", ["v1", "v1.5"])
def test_files_come_back_with_their_version(version, file, tmp_path):
    model = randomize(ResNet(TINY, version=version, input_shape=(64, 64, 3)))
    (model.save if file.endswith("keras") else partial(porting.save_safetensors, model))(
        tmp_path / file
    )
    loaded = ResNet(TINY, weights=tmp_path / file, input_shape=(64, 64, 3))
    assert porting.version(loaded) == version
    x = images((1, 64, 64, 3))
    np.testing.assert_array_equal(outputs(loaded, x), outputs(model, x))


def test_a_conflicting_version_is_refused(tmp_path):
    porting.save_safetensors(ResNet(TINY), tmp_path / "net.safetensors")
    ResNet(TINY).save(tmp_path / "net.keras")
    for file in ("net.safetensors", "net.keras"):
        with pytest.raises(ValueError, match=r"need version='v1' .* given 'v1.5'"):
            ResNet(TINY, weights=tmp_path / file, version="v1.5")


def test_metadata_of_other_writers_is_ignored(tmp_path):
    from safetensors.numpy import save_file

    arrays = porting.to_torchvision(ResNet(TINY))
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(arrays, tmp_path / "net.safetensors", metadata={"version": "1.0"})
    assert porting.version(ResNet(TINY, weights=tmp_path / "net.safetensors")) == "v1.5"


def test_a_saved_file_is_complete_and_never_overwritten(trained, tmp_path):
    path = tmp_path / "net.safetensors"
    porting.save_safetensors(trained, path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="exists"):
        porting.save_safetensors(trained, path)
    with pytest.raises(ValueError, match="ends in"):
        porting.save_safetensors(trained, tmp_path / "net.pth")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.safetensors"]


def test_pytorch_layout_means_v1_5_unless_said(tmp_path):
    """torchvision and timm stride in the 3x3; a basic net is the same in both."""
    torch = pytest.importorskip("torch")
    arrays = porting.to_torchvision(ResNet(TINY))
    torch.save({name: torch.tensor(a) for name, a in arrays.items()}, tmp_path / "net.pth")
    assert porting.version(ResNet(TINY, weights=tmp_path / "net.pth")) == "v1.5"
    assert porting.version(ResNet(TINY, weights=tmp_path / "net.pth", version="v1")) == "v1"
    assert porting.version(named_net("resnet18")) == "v1"
