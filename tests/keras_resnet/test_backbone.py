"""`keras_resnet.backbone`: maps, dilation, freezing, channels, weights, files."""

from __future__ import annotations

from itertools import pairwise

import keras
import numpy as np
import pytest
from large_nets import undrawn
from weight_samples import images, outputs, randomize

import keras_resnet
from keras_resnet import ARCHITECTURES, Architecture, analysis, backbone, freeze, resnet

SIZES = ((67, 90), (64, 96), (33, 47))  # odd, even, and with odd maps further up
KINDS = (("bottleneck", "v1"), ("bottleneck", "v1.5"), ("basic", "v1"))


def tiny(block: str = "bottleneck", version: str = "v1", **fields) -> Architecture:
    options = {"shortcut": "B", "stem_filters": 5, "version": version, **fields}
    return Architecture("tiny", "imagenet", block, (1, 2, 1, 2), (2, 3, 4, 5), **options)


def values(net: keras.Model, x: np.ndarray) -> dict[str, np.ndarray]:
    return {name: keras.ops.convert_to_numpy(y) for name, y in net(x, training=False).items()}


def assert_close(actual, expected) -> None:
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual / scale, expected / scale, rtol=0, atol=1e-5)


# ---- maps


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("size", SIZES[:2])
def test_the_maps_are_the_plain_nets_own(block, size):
    architecture = tiny(block)
    net = randomize(backbone(architecture))
    whole = keras_resnet.ResNet(architecture, include_top=False)
    whole.set_weights(net.get_weights())
    x = images((2, *size, 3))
    maps = values(net, x)
    assert list(maps) == ["C2", "C3", "C4", "C5"]
    for stage, blocks, stride in zip((2, 3, 4, 5), (1, 2, 1, 2), (4, 8, 16, 32), strict=True):
        own = keras.Model(whole.input, whole.get_layer(f"conv{stage}_block{blocks}_out").output)
        expected = outputs(own, x)
        assert expected.shape[1:3] == tuple(-(-n // stride) for n in size)
        np.testing.assert_array_equal(maps[f"C{stage}"], expected)


def test_a_cifar_net_has_three_maps_named_by_stage_and_by_stride():
    net = backbone("resnet20", input_shape=(32, 32, 3))
    assert [tuple(net.output[name].shape[1:]) for name in ("C2", "C3", "C4")] == [
        (32, 32, 16),
        (16, 16, 32),
        (8, 8, 64),
    ]
    assert [x.shape[1] for x in map(net.pyramid_outputs.get, ("P0", "P1", "P2"))] == [32, 16, 8]


def test_a_net_too_deep_for_one_graph_has_maps_too(monkeypatch):
    flat = randomize(backbone(tiny()))
    monkeypatch.setattr(resnet, "DEEPEST_FLAT", 3)
    monkeypatch.setattr(resnet, "BLOCKS_PER_SECTION", 1)
    nested = backbone(tiny())
    assert any(isinstance(layer, keras.Model) for layer in nested.layers)
    nested.set_weights(flat.get_weights())
    x = images((1, 33, 47, 3))
    for name, y in values(flat, x).items():
        np.testing.assert_array_equal(values(nested, x)[name], y)


# ---- dilation


@pytest.mark.parametrize(("block", "version"), KINDS)
def test_a_dilated_net_agrees_where_the_striding_net_has_values(block, version):
    architecture = tiny(block, version)
    striding = randomize(backbone(architecture))
    for output_stride in (4, 8, 16):
        dilated = backbone(architecture, output_stride=output_stride)
        dilated.set_weights(striding.get_weights())
        for size in SIZES:
            x = images((1, *size, 3))
            maps, dense = values(striding, x), values(dilated, x)
            for name, stride in (("C2", 4), ("C3", 8), ("C4", 16), ("C5", 32)):
                kept = min(stride, output_stride)
                assert dense[name].shape[1:3] == tuple(-(-n // kept) for n in size)
                every = stride // kept
                assert_close(dense[name][:, ::every, ::every], maps[name])


def stitched(x: np.ndarray, stages: list[keras.Model]) -> np.ndarray:
    """Shift and stitch, the slow way to a dense map: each striding stage on every shift of x.

    With the stride in a 1x1 (version v1) no pixel before a shift is missed, so that it holds to the
    edge.
    """
    if not stages:
        return x
    dense = np.zeros((*x.shape[:3], stages[-1].output.shape[-1]), "float32")
    for i in range(2):
        for j in range(2):
            dense[:, i::2, j::2] = stitched(outputs(stages[0], x[:, i:, j:]), stages[1:])
    return dense


@pytest.mark.parametrize(("output_stride", "names"), [(16, ["C4", "C5"]), (8, ["C3", "C4", "C5"])])
def test_a_dilated_net_is_the_striding_net_at_every_shift(output_stride, names):
    striding = randomize(backbone(tiny()))
    dilated = backbone(tiny(), output_stride=output_stride)
    dilated.set_weights(striding.get_weights())
    dense = values(dilated, images((1, 67, 90, 3)))
    stages = [
        keras.Model(striding.output[before], striding.output[after])
        for before, after in pairwise(names)
    ]
    assert_close(dense["C5"], stitched(dense[names[0]], stages))


def test_pyramid_levels_of_a_dilated_net_go_by_stride():
    net = backbone(tiny(), output_stride=16)
    assert net.pyramid_outputs == {
        "P2": net.output["C2"],
        "P3": net.output["C3"],
        "P4": net.output["C5"],
    }
    assert backbone(tiny(), output_stride=8).levels == {"P2": "C2", "P3": "C5"}


# ---- freezing


def train_a_step(net: keras.Model) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    model = keras.Model(net.input, keras.layers.GlobalAveragePooling2D()(net.output["C5"]))
    before = {w.path: keras.ops.convert_to_numpy(w).copy() for w in net.weights}
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    model.train_on_batch(images((4, 33, 47, 3)), np.ones((4, 20), "float32"))
    return before, {w.path: keras.ops.convert_to_numpy(w) for w in net.weights}


def moved(net: keras.Model) -> set[str]:
    before, after = train_a_step(net)
    return {path for path in before if not np.array_equal(before[path], after[path])}


def test_everything_moves_by_default():
    net = randomize(backbone(tiny()))
    assert moved(net) == {w.path for w in net.weights}


def test_frozen_batch_norm_stays_and_is_affine_in_training():
    net = randomize(backbone(tiny(), frozen_batch_norm=True))
    x = images((2, 33, 47, 3))
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(net(x, training=True)["C5"]), values(net, x)["C5"]
    )
    assert moved(net) == {w.path for w in net.weights if "_conv/" in w.path}


@pytest.mark.parametrize("stages", [1, 2, 5])
def test_frozen_stages_stay_with_their_batch_norms(stages):
    net = randomize(backbone(tiny(), frozen_stages=stages))
    live = tuple(f"conv{stage}_" for stage in range(stages + 1, 6))
    expected = {w.path for w in net.weights if w.path.startswith(live)}
    if stages < 5:
        assert moved(net) == expected
    else:
        assert not net.trainable_weights


def test_freeze_reaches_a_net_inside_a_model_and_leaves_the_head():
    net = backbone(tiny())
    pixels = keras.Input((64, 64, 3))
    features = keras.layers.GlobalAveragePooling2D()(net(pixels)["C5"])
    whole = keras.Model(pixels, keras.layers.Dense(2, name="head")(features))
    freeze(whole, stages=5)
    assert [w.path for w in whole.trainable_weights] == ["head/kernel", "head/bias"]
    freeze(whole)
    assert len(whole.trainable_weights) == 2 + len(net.trainable_weights) > 2


@pytest.mark.parametrize("stages", [-1, 6, True, 1.5])
def test_other_numbers_of_stages_are_refused(stages):
    with pytest.raises(ValueError, match=r"from 0 \(none\) to 5 \(all\)"):
        backbone(tiny(), frozen_stages=stages)


def test_a_model_without_this_package_s_layers_cannot_be_frozen():
    with pytest.raises(ValueError, match="no layers of a network"):
        freeze(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]))


# ---- weights, channels, files


@pytest.mark.parametrize("output_stride", [None, 8])
def test_weights_go_from_classifier_to_backbone_and_back(tmp_path, output_stride):
    classifier = randomize(keras_resnet.ResNet(tiny(), input_shape=(64, 64, 3), classes=7))
    classifier.save_weights(tmp_path / "net.weights.h5")
    net = backbone(tiny(), tmp_path / "net.weights.h5", output_stride=output_stride)
    x = images((1, 64, 64, 3))
    whole = keras_resnet.ResNet(tiny(), include_top=False)
    whole.set_weights(classifier.get_weights()[:-2])
    every = 32 // (output_stride or 32)
    assert_close(values(net, x)["C5"][:, ::every, ::every], outputs(whole, x))

    randomize(net, seed=3).save_weights(tmp_path / "back.weights.h5")
    again = keras_resnet.ResNet(
        tiny(), include_top=False, weights=tmp_path / "back.weights.h5", input_shape=(64, 64, 3)
    )
    np.testing.assert_equal(again.get_weights(), net.get_weights())


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_number_of_channels(tmp_path, channels):
    rgb = randomize(backbone(tiny()))
    rgb.save_weights(tmp_path / "rgb.weights.h5")
    net = backbone(tiny(), tmp_path / "rgb.weights.h5", (None, None, channels))
    grey = images((1, 33, 47, 1))
    same = np.repeat(grey, channels, axis=-1)
    assert_close(values(net, same)["C5"], values(rgb, np.repeat(grey, 3, axis=-1))["C5"])


@undrawn()
def test_weights_that_cannot_be_fetched_are_an_oserror(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def offline(*args, **kwargs):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.utils, "get_file", offline)
    with pytest.raises(OSError, match=r"resnet18.*by hand and put it at"):
        backbone("resnet18", "imagenet")


@undrawn()
def test_published_weights_choose_the_net_and_say_what_they_need_of_their_input(monkeypatch):
    monkeypatch.setattr(keras_resnet.weights, "load", lambda *args, **kwargs: None)
    caffe = backbone("resnet50", "imagenet", (224, 224, 3))
    torch = backbone("resnet50", "imagenet-torchvision-v2")
    found = [net.preprocessing for net in (caffe, torch, backbone(tiny()))]
    assert found == ["caffe", "torch", None]
    strided = {layer.name: getattr(layer, "strides", None) for layer in analysis.walk(torch)}
    assert strided["conv3_block1_2_conv"] == (2, 2)  # torchvision's version, v1.5
    table_1 = [(56, 56, 256), (28, 28, 512), (14, 14, 1024), (7, 7, 2048)]
    for names, maps in (("C2 C3 C4 C5", caffe.output), ("P2 P3 P4 P5", caffe.pyramid_outputs)):
        assert [tuple(maps[name].shape[1:]) for name in names.split()] == table_1


@undrawn()
def test_the_default_weights_are_those_of_the_constructors(monkeypatch):
    asked = []

    def load(model, found, *rest, **named):
        asked.append(found)

    monkeypatch.setattr(keras_resnet.weights, "load", load)
    for build in (lambda: backbone("resnet18"), lambda: keras_resnet.ResNet18(include_top=False)):
        build()
    assert [(one.network, one.name) for one in asked] == [("resnet18", "imagenet")] * 2
    for network in ("resnet20", "plain18", ARCHITECTURES["resnet18"]):  # random weights
        assert backbone(network).preprocessing is None
    assert len(asked) == 2


def test_networks_that_are_none_are_refused():
    with pytest.raises(ValueError, match="resnet50"):
        backbone("resnet51")
    with pytest.raises(ValueError, match="Architecture; given 50"):
        backbone(50)


def test_a_clone_says_what_keras_leaves_out_and_can_be_saved(tmp_path):
    keras.models.clone_model(backbone(tiny())).save(tmp_path / "net.keras")
    clone = keras.models.load_model(tmp_path / "net.keras")
    with pytest.raises(ValueError, match=r"clone_model leaves out.*assign"):
        _ = clone.pyramid_outputs
    clone.levels = {"P5": "C5"}
    assert list(clone.pyramid_outputs) == ["P5"]


def test_a_saved_backbone_comes_back_whole(tmp_path):
    net = randomize(backbone(tiny(), output_stride=16, frozen_stages=2, frozen_batch_norm=True))
    net.preprocessing = "torch"
    net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    assert again.preprocessing == "torch"
    assert list(again.pyramid_outputs) == ["P2", "P3", "P4"]
    assert [w.path for w in again.trainable_weights] == [w.path for w in net.trainable_weights]
    x = images((1, 33, 47, 3))
    for name, y in values(net, x).items():
        np.testing.assert_array_equal(values(again, x)[name], y)
