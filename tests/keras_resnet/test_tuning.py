"""The HyperModel in a keras-tuner search of a user's own; the example of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import keras_tuner
import pytest
import sklearn.datasets
import sklearn.utils

from keras_resnet import analysis, search_space
from keras_resnet.tuning import ResNetHyperModel, chosen, declare

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs" / "tuning.md"


def built(hypermodel, **values):
    hp = keras_tuner.HyperParameters()
    declare(hp, hypermodel.space)
    hp.values |= values
    return hypermodel.build(hp)


def test_it_builds_what_the_values_say():
    names = [layer.name for layer in built(ResNetHyperModel("resnet8"), shortcut="C", n=1).layers]
    assert "conv2_block1_0_conv" in names
    plain = built(ResNetHyperModel("resnet8"), shortcut="none", n=3)
    assert analysis.parameters(plain) == 269_722  # section 4.2: plain-20
    assert not any(name.endswith("_add") for name in (layer.name for layer in plain.layers))
    wide = built(ResNetHyperModel("resnet8", fix={"width": 2.0}), shortcut="A", n=1)
    assert wide.get_layer("conv1_conv").filters == 32


def test_it_is_compiled_and_narrowed_as_asked():
    space = [
        search_space.Range("learning_rate", 0.02, 0.03, False, ""),
        search_space.Choice("shortcut", ("B",), ""),
    ]
    hypermodel = ResNetHyperModel("resnet20", (24, 24, 1), 5, space=space)
    model = built(hypermodel, learning_rate=0.025)
    assert model.input_shape == (None, 24, 24, 1)
    assert model.output_shape == (None, 5)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.025)
    assert model.optimizer.momentum == 0.9


def test_fields_of_imagenet_nets():
    names = [field.name for field in search_space.fields("resnet50")]
    assert "n" not in names  # its stages differ
    assert str(search_space.find(search_space.fields("resnet50"), "shortcut")) == "A, B, C"
    assert "none" in str(search_space.find(search_space.fields("resnet34"), "shortcut"))


def test_zero_initialisation_needs_shortcuts():
    hp = keras_tuner.HyperParameters()
    space = search_space.fields("resnet20")
    declare(hp, space)
    hp.values["shortcut"] = "none"
    assert "zero_init_residual" not in chosen(hp, space)
    hp.values["shortcut"] = "B"
    assert chosen(hp, space)["zero_init_residual"] is False


@pytest.mark.parametrize(
    ("network", "fix", "words"),
    [
        ("plain20", {}, "'resnet20'"),
        ("resnet21", {}, "6n\\+2"),
        ("resnet20", {"shortcut": "D"}, "A, B, C, none"),
        ("resnet20", {"batch_size": 3}, "no field 'batch_size'"),
    ],
)
def test_what_cannot_be_is_said(network, fix, words):
    with pytest.raises(ValueError, match=words):
        ResNetHyperModel(network, fix=fix)


def test_blocks_per_stage_never_turn_an_imagenet_net_into_a_cifar_net():
    with pytest.raises(ValueError, match="resnet50 has no n"):
        built(ResNetHyperModel("resnet50", space=search_space.SEARCH_SPACE))


@pytest.mark.slow
def test_the_example_of_the_documentation_runs(tmp_path, monkeypatch, eagerly):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(example.strip().splitlines()) <= 10
    monkeypatch.chdir(tmp_path)  # the search's directory
    digits = sklearn.datasets.load_digits()
    few = sklearn.utils.Bunch(images=digits.images[:40], target=digits.target[:40])
    monkeypatch.setattr(sklearn.datasets, "load_digits", lambda: few)
    names: dict = {}
    exec(example, names)
    best = names["tuner"].get_best_hyperparameters()[0]
    assert best.get("shortcut") in ("A", "B", "C", "none")
    assert names["tuner"].oracle.get_best_trials()[0].score is not None
