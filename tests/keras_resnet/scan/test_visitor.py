"""The visitor gives the same layers for a network written out, nested or run in loops."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet import Architecture, copy_weights, resnet
from keras_resnet.scan.scanned_blocks import StackedBatchNorm
from keras_resnet.scan.visitor import batch_norms, loops, walk, written_out

ARCHITECTURE = Architecture("tiny", "cifar", "bottleneck", (3, 2), (2, 3), "C", stem_filters=3)


def network(**options) -> keras.Model:
    return keras_resnet.ResNet(ARCHITECTURE, input_shape=(8, 8, 3), classes=2, **options)


@pytest.fixture
def flat() -> keras.Model:
    return network()


@pytest.fixture
def scanned(flat) -> keras.Model:
    model = network(scan=True)
    copy_weights(flat, model)
    return model


@pytest.fixture
def nested(monkeypatch) -> keras.Model:
    monkeypatch.setattr(resnet, "DEEPEST_FLAT", 3)
    monkeypatch.setattr(resnet, "BLOCKS_PER_SECTION", 1)
    return network()


def weighted(model: keras.Model) -> list[str]:
    return [one.name for one in written_out(model) if one.layer.variables]


def test_every_form_has_the_layers_of_the_flat_one(flat, nested, scanned):
    names = [layer.name for layer in flat.layers if layer.variables]
    assert weighted(flat) == weighted(nested) == names
    assert sorted(weighted(scanned)) == sorted(names)
    assert [layer.name for layer in walk(nested) if layer.variables] == names


def test_only_a_scanned_net_has_loops(flat, nested, scanned):
    assert loops(flat) == loops(nested) == []
    assert [loop.name for loop in loops(scanned)] == ["conv2_blocks2to3", "conv3_blocks2to2"]


def test_a_loops_variables_are_the_stacked_ones_of_its_blocks(flat, scanned):
    for one in written_out(scanned):
        kernel = one.variable("kernel")
        if kernel is not None:
            array = keras.ops.convert_to_numpy(kernel)
            expected = flat.get_layer(one.name).kernel
            np.testing.assert_array_equal(array[one.block] if one.loop else array, expected)


def test_a_loops_batch_norms_come_once_for_all_its_blocks(flat, scanned):
    written = [layer for layer in flat.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert batch_norms(flat) == written
    found = batch_norms(scanned)
    stacked = [norm for norm in found if isinstance(norm, StackedBatchNorm)]
    assert len(written) == 1 + 5 * 4  # the stem's; a block's three, and its projection's
    assert len(stacked) == 2 * 4
    assert sum(norm.moving_mean.shape[0] for norm in stacked) + len(found) - len(stacked) == 21
