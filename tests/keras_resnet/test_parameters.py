"""Trainable parameters and multiply-adds of the built networks against a slow count."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import keras
import paper_numbers as paper
import pytest
from large_nets import named_net, undrawn

import keras_resnet
from keras_resnet import ARCHITECTURES, analysis


class Cost(NamedTuple):
    parameters: int
    multiply_adds: int


def convolution(size: int, kernel: int, inputs: int, outputs: int) -> Iterator[Cost]:
    """A bias-free convolution with a size x size output, and its batch norm (scale and shift)."""
    weights = kernel * kernel * inputs * outputs
    yield Cost(weights, 0)
    for _ in range(size * size):  # each output pixel multiplies every weight once
        yield Cost(0, weights)
    yield Cost(2 * outputs, 0)


def blocks(
    channels: int,
    number: int,
    layers: tuple[tuple[int, int], ...],
    size: int,
    halves: bool,
    shortcut: str | None,
    stride_in_3x3: bool,
) -> Iterator[Cost]:
    for i in range(number):
        first = halves and i == 0
        outputs = layers[-1][1]
        if shortcut == "C" or (shortcut == "B" and (first or channels != outputs)):
            yield from convolution(size, 1, channels, outputs)
        inputs = channels
        for j, (kernel, filters) in enumerate(layers):
            not_yet_strided = first and stride_in_3x3 and j == 0
            yield from convolution(2 * size if not_yet_strided else size, kernel, inputs, filters)
            inputs = filters
        channels = outputs


def imagenet_costs(depth: int, shortcut: str | None, stride_in_3x3: bool) -> Iterator[Cost]:
    sizes = list(paper.IMAGENET_OUTPUT_SIZES.values())
    yield from convolution(sizes[0], 7, 3, 64)
    channels = 64
    for stage, layers in enumerate(paper.IMAGENET_CONVOLUTIONS[depth]):
        number = paper.IMAGENET_BLOCKS[depth][stage]
        size = sizes[stage + 1]
        yield from blocks(channels, number, layers, size, stage > 0, shortcut, stride_in_3x3)
        channels = layers[-1][1]
    yield Cost(channels * 1000 + 1000, channels * 1000)


def cifar_costs(depth: int) -> Iterator[Cost]:
    yield from convolution(32, 3, 3, 16)
    channels = 16
    for filters, size in ((16, 32), (32, 16), (64, 8)):
        layers = ((3, filters), (3, filters))
        yield from blocks(channels, paper.CIFAR_N[depth], layers, size, size < 32, None, False)
        channels = filters
    yield Cost(64 * 10 + 10, 64 * 10)


def total(costs: Iterator[Cost]) -> Cost:
    return Cost(*map(sum, zip(*costs, strict=True)))


def measured(model: keras.Model) -> Cost:
    return Cost(analysis.parameters(model), analysis.multiply_adds(model))


def rounded(number: int, printed: str) -> str:
    """`number` in units of 1e9, rounded to the digits of `printed`."""
    return f"{number / 1e9:.{len(printed.partition('.')[2])}f}"


def truncated(number: int, printed: str) -> str:
    scale = 10 ** len(printed.partition(".")[2])
    return f"{math.floor(number / 1e9 * scale) / scale:.{len(printed.partition('.')[2])}f}"


def built(depth: int, shortcut: str | None, version: str) -> keras.Model:
    name = f"resnet{depth}" if shortcut else f"plain{depth}"
    if (shortcut, version) == (ARCHITECTURES[name].shortcut, "v1"):
        return named_net(name)
    with undrawn():
        return keras_resnet.ResNet(
            ARCHITECTURES[name], weights=None, shortcut=shortcut, version=version
        )


@pytest.fixture(scope="module")
def imagenet_cost():
    """The cost of an ImageNet net, which is measured once."""
    costs: dict[tuple[int, str | None, str], Cost] = {}

    def cost(depth: int, shortcut: str | None, version: str = "v1") -> Cost:
        key = (depth, shortcut, version)
        if key not in costs:
            costs[key] = measured(built(depth, shortcut, version))
        return costs[key]

    return cost


V1 = [*paper.IMAGENET_PARAMETERS, (18, "A"), (18, None), (50, "C")]


@pytest.mark.parametrize(("depth", "shortcut"), V1)
def test_imagenet_nets_cost_what_the_slow_count_says(imagenet_cost, depth, shortcut):
    slow = total(imagenet_costs(depth, shortcut, stride_in_3x3=False))
    assert imagenet_cost(depth, shortcut) == slow
    if (depth, shortcut) in paper.IMAGENET_PARAMETERS:
        assert slow.parameters == paper.IMAGENET_PARAMETERS[depth, shortcut]


@pytest.mark.parametrize("depth", paper.FLOPS_V1_5)
def test_v1_5_strides_later_and_costs_more(imagenet_cost, depth):
    cost = imagenet_cost(depth, "B", "v1.5")
    assert cost == total(imagenet_costs(depth, "B", stride_in_3x3=True))
    assert cost.parameters == paper.IMAGENET_PARAMETERS[depth, "B"]
    printed = paper.FLOPS_V1_5[depth]
    assert rounded(cost.multiply_adds, printed) == printed


@pytest.mark.parametrize("depth", paper.FLOPS_V1)
def test_v1_costs_the_known_multiply_adds(imagenet_cost, depth):
    printed = paper.FLOPS_V1[depth]
    assert rounded(imagenet_cost(depth, "B").multiply_adds, printed) == printed


# The paper builds 18 and 34 with A (Table 2) and B, the deeper ones with B.
@pytest.mark.parametrize(
    ("depth", "shortcut"), [*((depth, "B") for depth in paper.FLOPS), (18, "A"), (34, "A")]
)
def test_flops_agree_with_table_1_to_the_digit_it_prints(imagenet_cost, depth, shortcut):
    """The paper rounds some (101: 7.57 is 7.6) and truncates others (50: 3.86 is 3.8)."""
    number, printed = imagenet_cost(depth, shortcut).multiply_adds, paper.FLOPS[depth]
    assert printed in (rounded(number, printed), truncated(number, printed))


@pytest.mark.parametrize(
    ("kind", "depth"),
    [
        *(("resnet", depth) for depth in paper.CIFAR_PARAMETERS if depth < 1202),
        pytest.param("resnet", 1202, marks=pytest.mark.nightly),
        *(("plain", depth) for depth in paper.CIFAR_PLAIN_DEPTHS),
    ],
)
def test_cifar_nets_cost_what_the_slow_count_says(kind, depth):
    cost = measured(named_net(f"{kind}{depth}"))
    assert cost == total(cifar_costs(depth))
    assert cost.parameters == paper.CIFAR_PARAMETERS[depth]
    printed = paper.CIFAR_MILLIONS[depth]
    thousands = cost.parameters * 1000
    assert printed in (rounded(thousands, printed), truncated(thousands, printed))


def test_cifar_shortcuts_b_and_c_add_their_projections():
    base = paper.CIFAR_PARAMETERS[20]
    growing = (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)
    identities = 3 * (16 * 16 + 2 * 16) + 2 * (32 * 32 + 2 * 32) + 2 * (64 * 64 + 2 * 64)
    for shortcut, more in (("A", 0), ("B", growing), ("C", growing + identities)):
        model = keras_resnet.ResNet20(weights=None, shortcut=shortcut)
        assert analysis.parameters(model) == base + more


@pytest.mark.parametrize("depth", paper.VGG_FLOPS)
def test_vgg_by_the_same_count(depth):
    """The paper's 19.6 has VGG-19's fully connected layers in it; its 15.3 has not VGG-16's."""
    constructor = {16: keras.applications.VGG16, 19: keras.applications.VGG19}[depth]
    convolutions = constructor(include_top=False, weights=None, input_shape=(224, 224, 3))
    top = 7 * 7 * 512 * 4096 + 4096 * 4096 + 4096 * 1000  # counted by hand: 0.5 GB to build
    number = analysis.multiply_adds(convolutions) + (top if depth == 19 else 0)
    printed = paper.VGG_FLOPS[depth]
    assert printed in (rounded(number, printed), truncated(number, printed))


def test_parameters_leave_out_frozen_weights_and_moving_statistics():
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.BatchNormalization()])
    assert analysis.parameters(model) == 2 * 3
    model.trainable = False
    assert analysis.parameters(model) == 0


def test_multiply_adds_refuses_what_it_cannot_count():
    depthwise = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.DepthwiseConv2D(3)])
    with pytest.raises(ValueError, match="DepthwiseConv2D"):
        analysis.multiply_adds(depthwise)


def test_a_dense_layer_counts_at_every_position():
    model = keras.Sequential([keras.Input((4, 5, 3)), keras.layers.Dense(7)])
    assert analysis.multiply_adds(model) == 4 * 5 * 3 * 7
