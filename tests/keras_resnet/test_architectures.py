"""The table of networks against the transcription of the paper in `paper_numbers`."""

from __future__ import annotations

import dataclasses
import re

import paper_numbers as paper
import pytest

from keras_resnet import ARCHITECTURES, Architecture, architectures, cifar_architecture

IMAGENET_NETS = [name for name, one in ARCHITECTURES.items() if one.stem == "imagenet"]
CIFAR_NETS = [name for name, one in ARCHITECTURES.items() if one.stem == "cifar"]
TINY = Architecture("tiny", "cifar", "basic", blocks=(1, 1), filters=(16, 32), shortcut="B")


def depth_in(name: str) -> int:
    return int(re.search(r"\d+$", name).group())


def test_the_table_has_the_networks_of_the_paper_and_no_other():
    assert set(IMAGENET_NETS) == {
        *(f"resnet{depth}" for depth in paper.IMAGENET_BLOCKS),
        *("plain18", "plain34"),
    }
    assert set(CIFAR_NETS) == {
        *(f"resnet{depth}" for depth in paper.CIFAR_N),
        *(f"plain{depth}" for depth in paper.CIFAR_PLAIN_DEPTHS),
    }


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_name_tells_kind_and_depth(name):
    architecture = ARCHITECTURES[name]
    assert architecture.name == name
    assert architecture.depth == depth_in(name)
    assert architecture.residual == name.startswith("resnet")


@pytest.mark.parametrize("name", IMAGENET_NETS)
def test_imagenet_nets_are_table_1s(name):
    architecture, depth = ARCHITECTURES[name], depth_in(name)
    stages = paper.IMAGENET_CONVOLUTIONS[depth]
    block = architectures.BLOCKS[architecture.block]
    assert architecture.blocks == paper.IMAGENET_BLOCKS[depth]
    assert architecture.first_filters == paper.IMAGENET_STEM["filters"]
    assert architecture.stage_outputs == tuple(stage[-1][1] for stage in stages)
    for filters, stage in zip(architecture.filters, stages, strict=True):
        multiples = (multiple * filters for multiple in block.filter_multiples)
        assert tuple(zip(block.kernel_sizes, multiples, strict=True)) == stage
    assert architecture.shortcut == ("B" if architecture.residual else None)
    assert architecture.version == "v1"
    assert architecture.total_stride == 32


@pytest.mark.parametrize("name", CIFAR_NETS)
def test_cifar_nets_are_section_4_2s(name):
    architecture = ARCHITECTURES[name]
    assert architecture.blocks == (paper.CIFAR_N[depth_in(name)],) * 3
    assert architecture.filters == architecture.stage_outputs == paper.CIFAR_FILTERS
    assert architecture.first_filters == 16
    assert architecture.block_depth == 2
    assert architecture.shortcut == ("A" if architecture.residual else None)
    assert architecture.total_stride == 4


def test_stems_are_the_papers():
    imagenet, cifar = architectures.STEMS["imagenet"], architectures.STEMS["cifar"]
    assert {field: getattr(imagenet, field) for field in paper.IMAGENET_STEM} == paper.IMAGENET_STEM
    assert (imagenet.classes, cifar.classes) == (paper.IMAGENET_CLASSES, paper.CIFAR_CLASSES)
    assert (imagenet.image_size, cifar.image_size) == (224, 32)
    assert (cifar.filters, cifar.kernel_size, cifar.strides) == (16, 3, 1)
    assert imagenet.max_pool
    assert not cifar.max_pool


def test_every_name_finds_its_network_and_numbers_find_new_cifar_nets():
    for name, architecture in ARCHITECTURES.items():
        assert architectures.get(name) is architecture
    assert architectures.get("resnet14") == cifar_architecture(14)
    assert architectures.get("plain8") == cifar_architecture(8, residual=False)
    assert architectures.get("resnet14").depth == 14


@pytest.mark.parametrize(
    "name",
    ["resnet19", "resnet2", "resnet-20", "resnet020", "resnet٢٠", "plain", "ResNet20", "vgg16", ""],
)
def test_other_names_are_refused_with_the_known_ones(name):
    with pytest.raises(ValueError, match=re.escape(repr(name))) as error:
        architectures.get(name)
    for known in ("resnet18", "plain110", "6n+2"):
        assert known in str(error.value)


@pytest.mark.parametrize("depth", [8, 14, 20, 26, 1202, 6 * 1000 + 2])
def test_any_depth_6n_plus_2_is_a_cifar_net(depth):
    architecture = cifar_architecture(depth)
    assert architecture.depth == depth
    assert sum(architecture.blocks) * 6 == (depth - 2) * 3


@pytest.mark.parametrize("depth", [2, 7, 19, 21, 0, -4, 20.0, "20", None])
def test_other_depths_are_refused(depth):
    with pytest.raises(ValueError, match="6n") as error:
        cifar_architecture(depth)
    assert repr(depth) in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stem": "mnist"}, ("'mnist'", "'imagenet'", "'cifar'")),
        ({"block": "wide"}, ("'wide'", "'basic'", "'bottleneck'")),
        ({"shortcut": "D"}, ("'D'", "'A'", "'B'", "'C'", "None")),
        ({"shortcut": "b"}, ("'b'", "'B'")),
        ({"version": "v2"}, ("'v2'", "'v1'", "'v1.5'")),
        ({"version": "v1.5"}, ("v1.5", "basic", "bottleneck")),
        ({"blocks": ()}, ("()", "(16, 32)")),
        ({"blocks": (1,)}, ("(1,)", "(16, 32)")),
        ({"blocks": (1, 0)}, ("blocks", "(1, 0)")),
        ({"blocks": (1, 1.0)}, ("blocks", "(1, 1.0)")),
        ({"blocks": 2}, ("blocks", "2")),
        ({"filters": (16, -32)}, ("filters", "(16, -32)")),
        ({"filters": (16, True)}, ("filters", "(16, True)")),
        ({"filters": (32, 16), "shortcut": "A"}, ("(16, 32, 16)", "'B'")),
        ({"stem_filters": 64, "shortcut": "A"}, ("(64, 16, 32)", "'B'")),
        ({"stem_filters": 0}, ("stem_filters", "0")),
        ({"stem_filters": 2.5}, ("stem_filters", "2.5")),
        ({"stem_filters": "8"}, ("stem_filters", "'8'")),
        ({"shortcut": None, "zero_init_residual": True}, ("zero_init_residual", "plain")),
    ],
)
def test_fields_that_describe_no_network_are_refused(change, said):
    with pytest.raises(ValueError, match=r".") as error:
        dataclasses.replace(TINY, **change)
    for words in said:
        assert words in str(error.value)


def test_architectures_take_lists_too():
    architecture = dataclasses.replace(TINY, blocks=[1, 1], filters=[16, 32])
    assert architecture == TINY
    assert hash(architecture) == hash(TINY)


def test_options_replace_only_what_is_given():
    architecture = ARCHITECTURES["resnet50"]
    assert architectures.with_options(architecture) == architecture
    changed = architectures.with_options(architecture, shortcut="C", version="v1.5")
    assert changed == dataclasses.replace(architecture, shortcut="C", version="v1.5")
    assert architectures.with_options(architecture, zero_init_residual=True).zero_init_residual
    with pytest.raises(ValueError, match=r"plain18.*'A'"):
        architectures.with_options(ARCHITECTURES["plain18"], shortcut="A")


def test_architectures_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TINY.name = "other"
    with pytest.raises(TypeError):
        ARCHITECTURES["tiny"] = TINY
