"""Recipes as data: the paper's numbers, typed overrides, files."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config import recipes
from training.config.recipes import Recipe


def test_cifar_recipe_is_section_4_2():
    recipe = recipes.load("cifar10")
    assert (recipe.iterations, recipe.batch_size) == (64_000, 128)
    assert [drop * recipe.iterations for drop in recipe.drops] == [32_000, 48_000]
    assert (recipe.learning_rate, recipe.drop_factor) == (0.1, 0.1)
    assert (recipe.momentum, recipe.weight_decay) == (0.9, 1e-4)
    assert recipe.warmup_learning_rate is None
    assert recipe.augmentation == "cifar"


def test_deep_cifar_nets_warm_up_at_a_tenth_of_the_rate():
    recipe = recipes.load("cifar10-warmup")
    assert recipe.warmup_learning_rate == 0.01
    assert recipe.warmup_error == 0.8


def test_imagenet_recipe_is_section_3_4():
    recipe = recipes.load("imagenet")
    assert (recipe.iterations, recipe.batch_size) == (600_000, 256)
    assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (0.1, 0.9, 1e-4)
    assert (recipe.schedule, recipe.drop_factor) == ("plateau", 0.1)


@pytest.mark.parametrize(
    ("network", "dataset", "name"),
    [
        ("resnet20", "cifar10", "cifar10"),
        ("plain56", "cifar10", "cifar10"),
        ("resnet110", "cifar10", "cifar10-warmup"),
        ("resnet1202", "cifar10", "cifar10-warmup"),
        ("resnet152", "cifar10", "cifar10"),
        ("resnet50", "imagenet2012", "imagenet"),
        ("resnet18", "folder", "folder"),
        ("resnet20", "digits", "digits"),
    ],
)
def test_default_recipe(network, dataset, name):
    assert recipes.default(network, dataset) == name


def test_overrides_are_typed():
    recipe = recipes.override(
        Recipe(),
        ["epochs=3", "learning_rate=1", "drops=[0.2, 0.4]", "nesterov=true", "schedule=cosine"],
    )
    assert (recipe.epochs, recipe.iterations) == (3, None)
    assert isinstance(recipe.learning_rate, float)
    assert recipe.drops == (0.2, 0.4)
    assert recipe.nesterov is True
    assert recipe.schedule == "cosine"
    assert recipes.override(recipe, ["iterations=6.4e4"]).iterations == 64_000
    assert recipes.override(recipe, ["iterations=64000"]).epochs is None


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("learning_rat=0.1", ["learning_rat'", "'learning_rate'"]),
        ("epoch=3", ["'epoch'", "'epochs'"]),
        ("epochs=three", ["epochs takes a whole number or null", "'three'"]),
        ("epochs=2.5", ["epochs", "2.5"]),
        ("nesterov=1", ["nesterov takes true or false", "1"]),
        ("drops=0.5", ["drops takes a list", "0.5"]),
        ("epochs", ["key=value", "'epochs'"]),
        ("schedule=stepwise", ["stepwise", "step, plateau"]),
        ("batch_size=0", ["batch_size", "0"]),
        ("label_smoothing=1", ["label_smoothing", "1"]),
        ('freeze=["conv9"]', ["conv9", "conv5"]),
        ("crop_area=[0.5, 0.1]", ["crop_area", "0.1"]),
        ("held_out=1.5", ["held_out", "1.5"]),
        ("momentum=true", ["momentum", "True"]),
        ("momentum=1", ["momentum lies in [0, 1)", "1"]),
        ("learning_rate=NaN", ["learning_rate takes a finite number", "nan"]),
        ("mixup=1e999", ["mixup takes a finite number", "inf"]),
        ("warmup_learning_rate=-1", ["warmup_learning_rate is not negative", "-1"]),
        ("augmentation=imagnet", ["imagnet", "cifar, imagenet, random_resized_crop"]),
    ],
)
def test_wrong_overrides_say_what_is_wrong(assignment, words):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 (the words are checked below)
        recipes.override(Recipe(), [assignment])
    for word in words:
        assert word in str(raised.value)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "iterations": st.integers(1, 10**6),
            "batch_size": st.integers(1, 1024),
            "learning_rate": st.floats(0, 10),
            "schedule": st.sampled_from(recipes.SCHEDULES),
            "warmup_learning_rate": st.none() | st.floats(0, 1),
            "drops": st.lists(st.floats(0.01, 0.99), max_size=4).map(lambda x: tuple(sorted(x))),
            "jit": st.booleans(),
        },
    )
)
def test_a_saved_recipe_loads_as_itself(tmp_path_factory, fields):
    recipe = Recipe(**fields)
    path = tmp_path_factory.mktemp("recipes") / "recipe.json"
    recipes.save(recipe, path)
    assert recipes.load(str(path)) == recipe


def test_a_file_may_leave_fields_out(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"epochs": 2}))
    assert recipes.load(str(path)) == dataclasses.replace(Recipe(), epochs=2, iterations=None)


def test_unknown_recipes_and_broken_files(tmp_path):
    with pytest.raises(ValueError, match=r"'cifar'.*cifar10"):
        recipes.load("cifar")
    path = tmp_path / "broken.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        recipes.load(str(path))
    path.write_text("[]")
    with pytest.raises(ValueError, match="no JSON object"):
        recipes.load(str(path))


def test_a_recipe_without_a_length_gets_it_from_the_number_of_images():
    for name, least, most in (("folder", 60, 200), ("finetune", 5, 20)):
        recipe = recipes.load(name)
        few, many = recipes.sized(recipe, 60), recipes.sized(recipe, 1_000_000)
        assert (few.epochs, many.epochs) == (most, least)
        assert (few.held_out, many.held_out) == (6, 100_000)
        assert (few.batch_size, recipes.sized(recipe, 300).batch_size) == (8, 32)
        assert many.batch_size == recipe.batch_size
        assert recipes.sized(few, 1_000_000) == few
    assert recipes.sized(recipes.load("imagenet"), 60) == recipes.load("imagenet")
    short = recipes.override(recipes.load("finetune"), ["epochs=3"])
    assert recipes.sized(short, 60).epochs == 3


@pytest.mark.parametrize(("given", "sized"), [(64, 8), (36, 18), (33, 33), (12, 12), (1, 1)])
def test_a_batch_is_halved_to_an_even_number_of_at_least_eight(given, sized):
    recipe = dataclasses.replace(recipes.load("folder"), batch_size=given)
    assert recipes.sized(recipe, 40).batch_size == sized


def test_weights_choose_the_recipe_that_fine_tunes():
    assert recipes.default("resnet50", "folder", "imagenet") == "finetune"


def test_the_modern_recipe_is_torchvision_s():
    recipe = recipes.load("imagenet-modern")
    assert (recipe.batch_size, recipe.learning_rate, recipe.epochs) == (1024, 0.5, 600)
    assert recipe.warmup_fraction * recipe.epochs == pytest.approx(5)
    assert (recipe.label_smoothing, recipe.mixup, recipe.cutmix) == (0.1, 0.2, 1.0)
    assert (recipe.weight_decay, recipe.crop_area) == (2e-5, (0.08, 1.0))
