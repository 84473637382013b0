"""PyTorch's layouts are ported completely, by name and shape; and outputs are PyTorch's."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from large_nets import named_net, undrawn
from weight_samples import (
    cifar_shapes,
    imagenet_shapes,
    images,
    outputs,
    randomize,
    relative_error,
    state_dict,
)

import keras_resnet
from keras_resnet import CifarResNet, ResNet18
from keras_resnet.weights import porting, transfer

DEPTHS = (
    18,
    34,
    50,
    pytest.param(101, marks=pytest.mark.nightly),
    pytest.param(152, marks=pytest.mark.nightly),
)


@pytest.mark.parametrize("depth", DEPTHS)
def test_torchvision_state_dicts_fit_completely(depth):
    shapes = imagenet_shapes(depth)
    arrays = {name: np.zeros(shape, "float32") for name, shape in shapes.items()}
    model = named_net(f"resnet{depth}")
    before = model.get_weights()
    assert model.count_params() == sum(
        array.size for name, array in arrays.items() if not name.endswith("num_batches_tracked")
    )
    transfer.assign(model, porting.from_torch(arrays), "the state dict")
    for value in model.get_weights():  # every kernel and scale became 0
        assert not value.any()
    assert {name: array.shape for name, array in porting.to_torchvision(model).items()} == shapes
    model.set_weights(before)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_there_and_back_changes_nothing(prefix):
    arrays = state_dict(cifar_shapes(14))
    model = CifarResNet(14)
    prefixed = {prefix + name: array for name, array in arrays.items()}
    transfer.assign(model, porting.from_torch(prefixed), "the state dict")
    back = porting.to_torchvision(model)
    for name, array in arrays.items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(back[name.replace("linear", "fc")], array)


def test_a_convolutions_bias_is_folded_exactly():
    """With a bias in front, a batch norm gives the same as without and a shifted mean."""
    rng = np.random.default_rng(0)
    arrays = state_dict(cifar_shapes(8))
    bias = rng.normal(size=16).astype("float32")
    plain, biased = CifarResNet(8), CifarResNet(8)
    transfer.assign(plain, porting.from_torch(arrays), "without")
    transfer.assign(biased, porting.from_torch(arrays | {"conv1.bias": bias}), "with")
    x = images((2, 32, 32, 3))
    layers = ["conv1_conv", "conv1_bn"]
    convolution, norm = (plain.get_layer(name) for name in layers)
    expected = keras.ops.convert_to_numpy(norm(convolution(x) + bias))
    convolution, norm = (biased.get_layer(name) for name in layers)
    found = keras.ops.convert_to_numpy(norm(convolution(x)))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer9.0.conv1.weight": np.zeros((1, 1, 1, 1), "f")}, "no place for 'conv10_block1"),
        ({"layer1.0.se.weight": np.zeros(3, "f")}, "'layer1.0.se.weight' has no place in a ResNet"),
        ({"bn1.colour": np.zeros(16, "f")}, "'bn1.colour' has no place in a ResNet"),
        ({"fc.weight": np.zeros((10, 64), "f")}, "occurs twice"),
        ({"layer2.0.bn2.bias": None}, "'conv3_block1_2_bn/beta' is missing"),
        ({"linear.weight": None}, "'predictions/kernel' is missing"),
        ({"layer1.0.conv2.weight": np.zeros((16, 16, 5, 5), "f")}, r"shape \(5, 5, 16, 16\)"),
        ({"bn1.running_var": np.zeros(16, "int32")}, "int32"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_touched(change, message):
    arrays = state_dict(cifar_shapes(8)) | change
    arrays = {name: array for name, array in arrays.items() if array is not None}
    model = CifarResNet(8)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        transfer.assign(model, porting.from_torch(arrays), "file")
    np.testing.assert_equal(model.get_weights(), before)


# ---- against PyTorch


def torch_forward(arrays: dict[str, np.ndarray], x: np.ndarray, version: str) -> np.ndarray:
    """A state dict's net in PyTorch's own functions, straight from the names; x is (N, H, W, C)."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    tensors = {name: torch.tensor(array) for name, array in arrays.items()}

    def convolution(y, name, stride):
        kernel = tensors[f"{name}.weight"]
        return functional.conv2d(y, kernel, stride=stride, padding=kernel.shape[-1] // 2)

    def norm(y, name):
        names = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(y, *(tensors[f"{name}.{n}"] for n in names), eps=1e-5)

    def block(y, at, stride):
        count = max(i for i in (1, 2, 3) if f"{at}.conv{i}.weight" in tensors)
        strided = 2 if count == 3 and version == "v1.5" else 1
        z = y
        for i in range(1, count + 1):
            z = convolution(z, f"{at}.conv{i}", stride if i == strided else 1)
            z = norm(z, f"{at}.bn{i}")
            z = z if i == count else functional.relu(z)
        if f"{at}.downsample.0.weight" in tensors:
            y = norm(convolution(y, f"{at}.downsample.0", stride), f"{at}.downsample.1")
        elif stride == 2:  # option A
            missing = z.shape[1] - y.shape[1]
            y = functional.pad(y[:, :, ::2, ::2], (0, 0, 0, 0, missing // 2, missing // 2))
        return functional.relu(y + z)

    with torch.no_grad():
        imagenet = tensors["conv1.weight"].shape[-1] == 7
        y = torch.tensor(x.transpose(0, 3, 1, 2))
        y = functional.relu(norm(convolution(y, "conv1", 2 if imagenet else 1), "bn1"))
        if imagenet:
            y = functional.max_pool2d(y, 3, stride=2, padding=1)
        for stage in range(1, 5):
            number = 0
            while f"layer{stage}.{number}.conv1.weight" in tensors:
                y = block(y, f"layer{stage}.{number}", 2 if stage > 1 and number == 0 else 1)
                number += 1
        top = "linear" if "linear.weight" in tensors else "fc"
        y = y.mean((2, 3)) @ tensors[f"{top}.weight"].T + tensors[f"{top}.bias"]
    return y.numpy()


@undrawn()
@pytest.mark.parametrize(
    ("depth", "version"),
    [
        (18, None),
        (34, None),
        pytest.param(50, "v1", marks=pytest.mark.slow),
        (50, "v1.5"),
        pytest.param(101, "v1.5", marks=pytest.mark.nightly),
        pytest.param(152, "v1.5", marks=pytest.mark.nightly),
    ],
)
def test_imagenet_outputs_are_pytorchs(depth, version):
    arrays = state_dict(imagenet_shapes(depth, classes=5))
    model = getattr(keras_resnet, f"ResNet{depth}")(
        weights=None,
        classes=5,
        classifier_activation=None,
        version=version,
        input_shape=(96, 64, 3),
    )
    transfer.assign(model, porting.from_torch(arrays), "the state dict")
    x = images((2, 96, 64, 3))
    assert relative_error(outputs(model, x), torch_forward(arrays, x, version or "v1")) < 1e-4


def test_cifar_outputs_are_pytorchs():
    arrays = state_dict(cifar_shapes(20))
    model = CifarResNet(20, classifier_activation=None)
    transfer.assign(model, porting.from_torch(arrays), "the state dict")
    x = images((2, 32, 32, 3))
    assert relative_error(outputs(model, x), torch_forward(arrays, x, "v1")) < 1e-4


def test_exported_weights_are_the_same_net_in_pytorch():
    model = randomize(
        ResNet18(weights=None, classes=5, input_shape=(64, 64, 3), classifier_activation=None)
    )
    x = images((2, 64, 64, 3))
    found = torch_forward(porting.to_torchvision(model), x, "v1")
    assert relative_error(found, outputs(model, x)) < 1e-4


@pytest.mark.peers
@pytest.mark.parametrize(
    ("layer_type", "sizes", "depths", "version"),
    [
        ("basic", (64, 128, 256, 512), (2, 2, 2, 2), "v1"),
        ("bottleneck", (256, 512, 1024, 2048), (3, 4, 6, 3), "v1"),
        ("bottleneck", (256, 512, 1024, 2048), (3, 4, 6, 3), "v1.5"),
    ],
)
def test_outputs_are_those_of_transformers(layer_type, sizes, depths, version, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(
        layer_type=layer_type,
        hidden_sizes=list(sizes),
        depths=list(depths),
        num_labels=5,
        downsample_in_bottleneck=version == "v1" and layer_type == "bottleneck",
    )
    torch.manual_seed(0)
    theirs = transformers.ResNetForImageClassification(config).eval()
    generator = torch.Generator().manual_seed(0)
    for name, buffer in theirs.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.0, generator=generator)
    path = tmp_path / "net.pth"
    renamed = {torchvision_name(name): t for name, t in theirs.state_dict().items()}
    torch.save(renamed, path)
    ours = keras_resnet.ResNet(
        keras_resnet.ARCHITECTURES["resnet18" if layer_type == "basic" else "resnet50"],
        weights=path,
        classes=5,
        classifier_activation=None,
        version=version,
        input_shape=(96, 64, 3),
    )
    x = images((2, 96, 64, 3))
    with torch.no_grad():
        expected = theirs(torch.tensor(x.transpose(0, 3, 1, 2))).logits.numpy()
    assert relative_error(outputs(ours, x), expected) < 1e-4


def torchvision_name(name: str) -> str:
    """transformers' name of an array -> torchvision's."""
    parts = name.split(".")
    layer, variable = parts[:-1], parts[-1]
    if layer[0] == "classifier":
        return f"fc.{variable}"
    kind = "conv" if layer[-1] == "convolution" else "bn"
    if layer[1] == "embedder":
        return f"{kind}1.{variable}"
    _, _, _, stage, _, block, *rest = layer
    at = f"layer{int(stage) + 1}.{block}"
    if rest[0] == "shortcut":
        return f"{at}.downsample.{0 if kind == 'conv' else 1}.{variable}"
    return f"{at}.{kind}{int(rest[1]) + 1}.{variable}"
