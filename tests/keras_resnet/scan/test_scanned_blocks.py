"""A stage's blocks in a loop are the blocks written out, on every backend."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from other_backends import run
from paper_numbers import CIFAR_PARAMETERS
from run_scanned import CASES, IMAGES, compare, network

import keras_resnet
from keras_resnet import Architecture, ResNet, ScannedBlocks, analysis, copy_weights
from keras_resnet.scan.visitor import loops
from keras_resnet.weights import porting
from keras_resnet.weights.transfer import arrays_of

SCRIPT = Path(__file__).parents[1] / "run_scanned.py"
RUNS = {
    "tensorflow": ("basic-A", "recomputed", "frozen", "mixed"),
    "jax": ("recomputed",),
    "torch": ("plain", "recomputed", "channels_first"),
}
TOLERANCE = {"float32": 1e-5, "mixed_bfloat16": 2**-8}


@pytest.fixture(
    scope="module", params=["tensorflow", "jax", pytest.param("torch", marks=pytest.mark.nightly)]
)
def numbers(request):
    backend, cases = request.param, RUNS[request.param]
    if backend == keras.backend.backend():
        return backend, {name: compare(CASES[name]) for name in cases}
    printed = run(backend, SCRIPT, *cases)
    return backend, json.loads(printed.splitlines()[-1])


@pytest.mark.slow
def test_two_training_steps_give_the_same_numbers(numbers):
    backend, cases = numbers
    for name in RUNS[backend]:
        tolerance = TOLERANCE[CASES[name].policy]
        assert len(cases[name]) > 100
        for key, array in cases[name].items():
            allowed = tolerance * max(array["size"], 0.1)
            assert array["difference"] <= allowed, f"{backend} {name} {key}: {array}"


@pytest.mark.slow
def test_everything_moves_but_what_is_frozen(numbers):
    backend, cases = numbers
    for name in RUNS[backend]:
        for key, array in cases[name].items():
            scanned = "_block" in key and "_block1_" not in key
            still = CASES[name].frozen and scanned
            # The first step has no gradient for what zero_init_residual keeps out of the output.
            if key.startswith("step2/") and "/loss" not in key:
                assert (array["moved"] == 0) is still, f"{backend} {name} {key}"


@pytest.fixture(scope="module")
def scanned():
    """Every weight random, moving statistics too."""
    model = network(CASES["bottleneck-C"], scan=True)
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.5, 1, size=w.shape) for w in model.weights])
    return model


def test_layers_and_weights(scanned):
    found = {loop.name: loop for loop in loops(scanned)}
    assert list(found) == ["conv2_blocks2to3", "conv3_blocks2to2"]
    shapes = {w.path: tuple(w.shape) for w in found["conv2_blocks2to3"].weights}
    assert shapes["conv2_blocks2to3/2_conv_kernel"] == (2, 3, 3, 2, 2)
    assert shapes["conv2_blocks2to3/0_bn_moving_mean"] == (2, 8)
    plain = network(CASES["bottleneck-C"], scan=False)
    assert analysis.parameters(scanned) == analysis.parameters(plain)
    assert analysis.multiply_adds(scanned) == analysis.multiply_adds(plain)
    assert arrays_of(scanned).keys() == arrays_of(plain).keys()
    assert scanned.count_params() == plain.count_params()


def test_weights_go_to_the_net_written_out_and_back(scanned):
    plain = network(CASES["bottleneck-C"], scan=False)
    copy_weights(scanned, plain)
    np.testing.assert_allclose(
        plain.predict_on_batch(IMAGES), scanned.predict_on_batch(IMAGES), rtol=1e-4, atol=1e-5
    )
    third = plain.get_layer("conv2_block3_2_conv").get_weights()[0]
    stack = scanned.get_layer("conv2_blocks2to3").get_weights()
    assert any(a.shape == (2, *third.shape) and np.array_equal(a[1], third) for a in stack)
    again = network(CASES["bottleneck-C"], scan=True)
    copy_weights(plain, again)
    np.testing.assert_equal(again.get_weights(), scanned.get_weights())


def test_files_of_the_net_written_out_load_into_loops(scanned, tmp_path):
    plain = network(CASES["bottleneck-C"], scan=False)
    copy_weights(scanned, plain)
    architecture = Architecture("tiny", "cifar", "bottleneck", (3, 2), (2, 3), "C", stem_filters=4)
    porting.save_safetensors(scanned, tmp_path / "net.safetensors")
    plain.save(tmp_path / "net.keras")
    for file in ("net.safetensors", "net.keras"):
        options = {"input_shape": (9, 8, 3), "classes": 5, "scan": True}
        loaded = ResNet(architecture, weights=tmp_path / file, **options)
        np.testing.assert_equal(loaded.get_weights(), scanned.get_weights())


def test_another_network_is_refused_and_left_as_it_was(scanned):
    other = ResNet(Architecture("other", "cifar", "bottleneck", (4, 2), (2, 3), "C"), scan=True)
    before = other.get_weights()
    with pytest.raises(ValueError, match="tiny does not fit other"):
        copy_weights(scanned, other)
    np.testing.assert_equal(other.get_weights(), before)


def test_its_own_keras_file_opens_with_this_package(scanned, tmp_path):
    scanned.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    assert [w.path for w in loaded.weights] == [w.path for w in scanned.weights]
    np.testing.assert_array_equal(loaded.predict_on_batch(IMAGES), scanned.predict_on_batch(IMAGES))
    loaded.save_weights(tmp_path / "net.weights.h5")
    fresh = network(CASES["bottleneck-C"], scan=True)
    fresh.load_weights(tmp_path / "net.weights.h5")
    np.testing.assert_equal(fresh.get_weights(), scanned.get_weights())


def rewrite_in_the_former_form(path: Path) -> None:
    """Rewrites a file as version 0.1.0 wrote it: the layer was `Stage` and its block `unit`."""

    def rename(entry: dict) -> dict:
        if entry.get("registered_name") == "keras_resnet>ScannedBlocks":
            names = {"class_name": "Stage", "registered_name": "keras_resnet>Stage"}
            entry |= {**names, "module": "keras_resnet.scanned"}
            entry["config"]["unit"] = entry["config"].pop("block")
        return entry

    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"], object_hook=rename)
    members["config.json"] = json.dumps(config).encode()
    weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        for name in [name for name in file["layers"] if name.startswith("scanned_blocks")]:
            file["layers"].move(name, name.replace("scanned_blocks", "stage"))
    members["model.weights.h5"] = weights.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_files_with_the_layers_former_name_open_and_can_be_saved_again(scanned, tmp_path):
    path = tmp_path / "net.keras"
    scanned.save(path)
    rewrite_in_the_former_form(path)
    for _ in range(2):
        loaded = keras.models.load_model(path)
        np.testing.assert_equal(loaded.get_weights(), scanned.get_weights())
        expected = scanned.predict_on_batch(IMAGES)
        np.testing.assert_array_equal(loaded.predict_on_batch(IMAGES), expected)
        loaded.save(path)


def test_blocks_of_one_loop_start_with_different_weights():
    kernel = network(CASES["basic-A"], scan=True).get_layer("conv2_blocks2to3").get_weights()[0]
    assert len({block.tobytes() for block in kernel}) == 2
    # he_normal: variance 2 / (3 * 3 * 4), by the fan-in of one block
    wide = ResNet(Architecture("wide", "cifar", "basic", (9,), (32,), "A"), scan=True)
    deviations = wide.get_layer("conv2_blocks2to9").get_weights()[0].std(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(deviations, np.sqrt(2 / (3 * 3 * 32)), rtol=0.05)


def test_images_of_any_size():
    small = Architecture("small", "imagenet", "basic", (2, 2), (4, 6), "B", stem_filters=4)
    model = ResNet(small, include_top=False, pooling="avg", scan=True)
    for size in (32, 41):
        assert model(np.zeros((2, size, size, 3)), training=False).shape == (2, 6)


def test_folding_says_what_to_do_instead(scanned):
    with pytest.raises(ValueError, match=r"without scan=True and .* by keras_resnet.copy_weights"):
        keras_resnet.fold_batch_norm(scanned)


def test_a_block_that_changes_the_shape_is_no_block_of_a_loop():
    block = keras.Sequential([keras.Input((8, 8, 4)), keras.layers.Conv2D(6, 1)], name="block1")
    with pytest.raises(ValueError, match=r"block1 makes .* of "):
        ScannedBlocks(block, 3)


def test_resnet1202_is_built_at_the_default_recursion_limit():
    assert sys.getrecursionlimit() == 1000
    model = keras_resnet.ResNet1202(scan=True)
    assert analysis.parameters(model) == CIFAR_PARAMETERS[1202]
    assert len(model.layers) < 50
