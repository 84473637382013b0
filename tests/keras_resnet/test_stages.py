"""The blocks of a network as plain data, against Table 1, section 3.3 and section 4.2."""

from __future__ import annotations

from dataclasses import replace

import paper_numbers as paper
import pytest

from keras_resnet import ARCHITECTURES, Architecture
from keras_resnet.stages import Block, Convolution, Shortcut, stages


def kinds(blocks: tuple[Block, ...]) -> list[str]:
    """The kind of each block's shortcut."""
    found = []
    for block in blocks:
        path = block.shortcut
        if path is None:
            found.append("none")
        elif path == Shortcut():
            found.append("identity")
        else:
            found.append("zeros" if path.projection is None else "projection")
    return found


def first_letters(architecture: Architecture) -> list[str]:
    return ["".join(kind[0] for kind in kinds(blocks)) for blocks in stages(architecture)]


@pytest.mark.parametrize("depth", paper.IMAGENET_BLOCKS)
def test_imagenet_nets_have_the_convolutions_of_table_1(depth):
    found = stages(ARCHITECTURES[f"resnet{depth}"])
    assert tuple(map(len, found)) == paper.IMAGENET_BLOCKS[depth]
    for blocks, printed in zip(found, paper.IMAGENET_CONVOLUTIONS[depth], strict=True):
        for block in blocks:
            convolutions = tuple((one.kernel_size, one.filters) for one in block.convolutions)
            assert convolutions == printed


@pytest.mark.parametrize("name", ["plain34", "resnet34", "resnet50", "resnet56"])
def test_later_stages_stride_once_in_their_first_convolution(name):
    """Table 1: down-sampling by conv3_1, conv4_1 and conv5_1; section 4.2: by 2 per stage."""
    strides = {
        one.name: one.strides
        for blocks in stages(ARCHITECTURES[name])
        for block in blocks
        for one in block.convolutions
    }
    later = range(3, 2 + len(ARCHITECTURES[name].blocks))
    assert {name for name, stride in strides.items() if stride != 1} == {
        f"conv{stage}_block1_1" for stage in later
    }
    assert set(strides.values()) == {1, 2}


def test_v1_5_strides_in_the_3x3_of_a_bottleneck():
    first = stages(replace(ARCHITECTURES["resnet50"], version="v1.5"))[1][0]
    assert [one.strides for one in first.convolutions] == [1, 2, 1]
    assert first.shortcut.projection.strides == 2


def test_shortcuts_of_section_3_3():
    resnet34, resnet50 = ARCHITECTURES["resnet34"], ARCHITECTURES["resnet50"]
    assert first_letters(replace(resnet34, shortcut="A")) == ["iii", "ziii", "ziiiii", "zii"]
    assert first_letters(resnet34) == ["iii", "piii", "piiiii", "pii"]
    assert first_letters(replace(resnet34, shortcut="C")) == ["ppp", "pppp", "pppppp", "ppp"]
    assert first_letters(ARCHITECTURES["plain34"]) == ["nnn", "nnnn", "nnnnnn", "nnn"]
    # A bottleneck has four times the stage's filters, so that conv2_x begins with a projection too.
    assert first_letters(resnet50) == ["pii", "piii", "piiiii", "pii"]


def test_a_cifar_nets_new_channels_are_zeros():
    _, second, third = stages(ARCHITECTURES["resnet20"])
    assert second[0].shortcut == Shortcut(strides=2, zero_channels=16)
    assert third[0].shortcut == Shortcut(strides=2, zero_channels=32)


@pytest.mark.parametrize(
    ("version", "output_stride", "strides", "dilations"),
    [
        # The 3x3 convolutions of the first two blocks of conv4_x and conv5_x.
        ("v1.5", None, (2, 1, 2, 1), (1, 1, 1, 1)),
        ("v1.5", 16, (2, 1, 1, 1), (1, 1, 1, 2)),
        ("v1.5", 8, (1, 1, 1, 1), (1, 2, 2, 4)),
        ("v1", 8, (1, 1, 1, 1), (2, 2, 4, 4)),  # the 1x1 before the first 3x3 would have strided
    ],
)
def test_dilation_in_place_of_strides(version, output_stride, strides, dilations):
    architecture = replace(ARCHITECTURES["resnet50"], version=version)
    found = stages(architecture, output_stride)
    middle = [block.convolutions[1] for blocks in found[2:] for block in blocks[:2]]
    assert tuple(one.strides for one in middle) == strides
    assert tuple(one.dilation for one in middle) == dilations
    ends = [block.convolutions[i] for blocks in found for block in blocks for i in (0, 2)]
    assert {one.dilation for one in ends} == {1}  # dilating a 1x1 is nothing


@pytest.mark.parametrize("shortcut", ["A", "B", "C", None])
@pytest.mark.parametrize("output_stride", [4, 8, 16, 32])
def test_a_dilated_net_has_the_weights_of_the_striding_one(shortcut, output_stride):
    """Also where a stage has the channels of the one before, so that only its stride projects."""
    counts, filters = (1, 2, 1, 2), (4, 4, 4, 6)
    even = Architecture("even", "imagenet", "basic", counts, filters, shortcut, stem_filters=4)

    def weighted(blocks: tuple[Block, ...]) -> list[tuple[str, int, int]]:
        paths = [block.shortcut.projection for block in blocks if block.shortcut]
        every = [one for block in blocks for one in block.convolutions]
        return [(one.name, one.filters, one.kernel_size) for one in [*every, *filter(None, paths)]]

    dilated = stages(even, output_stride)
    assert list(map(weighted, dilated)) == list(map(weighted, stages(even)))


def test_zero_init_residual_zeroes_the_last_scale_of_every_block():
    found = stages(replace(ARCHITECTURES["resnet50"], zero_init_residual=True))
    for block in (block for blocks in found for block in blocks):
        assert [one.zero_scale for one in block.convolutions] == [False, False, True]


def test_blocks_are_named_as_in_keras_applications():
    block = stages(ARCHITECTURES["resnet50"])[2][5]
    assert (block.name, block.filters) == ("conv4_block6", 1024)
    assert block.convolutions[0] == Convolution("conv4_block6_1", 256, 1)


@pytest.mark.parametrize("output_stride", [0, 3, 64, "8"])
def test_other_output_strides_are_refused(output_stride):
    with pytest.raises(ValueError, match="4, 8, 16, 32") as error:
        stages(ARCHITECTURES["resnet50"], output_stride)
    assert f"given {output_stride!r}" in str(error.value)
