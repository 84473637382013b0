"""The model card of an exported version says what `model.json` knows, in words."""

from __future__ import annotations

import dataclasses

import served

import keras_resnet
from keras_resnet.preprocessing import CLASS_NAMES
from training.config import jobs, recipes
from training.config.jobs import Job
from training.data.decoding.resizing import Resizing
from training.export import model_card, saved_model
from training.models import trained_model

WRITTEN = {  # the facts that every export adds
    "name": "mine",
    "resizing": dataclasses.asdict(Resizing(256, 224)),
    "batch_norm": "folded",
    "precision": "float32",
    "largest_difference_from_keras": 7.7e-7,
    "versions": {"keras": "3.15.1"},
    "command": "python -m training export --model model.keras --name mine",
}


def card(facts, labels=("cat", "dog")):
    return model_card.text({**WRITTEN, **facts}, labels)


def test_the_card_lies_beside_the_model():
    text = (served.exported() / "README.md").read_text()
    assert text.startswith("# net\n")
    assert ", ".join(served.CLASSES) in text
    assert "No test error is recorded" in text


def test_a_run_s_data_recipe_and_error():
    recipe = recipes.load("cifar10")
    text = card(
        {
            "network": "resnet20",
            "weights": {"file": "model.keras", "sha256": "ab" * 32},
            "job": jobs.values(Job("resnet20", "cifar10", recipe, seed=3, weights="cifar10")),
            "data": {"class_names": ["cat"], "train": "45000 images, sha256 f7cc"},
            "result": {
                "train_examples": 45000,
                "skipped_images": 2,
                "finished": "2026-01-31T12:00:00+00:00",
                "hardware": "2 CPUs",
            },
            "test_error": {"test_error": 8.75, "test_examples": 10000},
            "runtimes": {"litert-int8": {"test_error": 9.5}, "onnx": {}},
        }
    )
    for said in (
        "`resnet20` tells 2 classes",
        "cifar10, 45,000 training images",
        "cannot be decoded: 2 images",
        "train 45000 images, sha256 f7cc",
        "Started from the weights cifar10",
        "published under Apache-2.0",
        "Seed: 3",
        f"| batch_size | {recipe.batch_size} |",
        "| drops | 0.5, 0.75 |",
        "| epochs | – |",
        "| freeze | – |",
        "part of the network, which takes raw pixels",
        "8.75 % of 10,000 images; one run",
        "litert-int8: test error 9.50 %",
        "ab" * 32,
        "shorter side to 256",
        "224x224",
        WRITTEN["command"],
    ):
        assert said in text


def test_published_weights_their_error_and_licence():
    found = trained_model.from_weights("resnet20", "cifar10")
    (published,) = keras_resnet.weights.list_published("resnet20")
    text = card(found.facts, CLASS_NAMES["cifar10"])
    assert f"top-1 error {published.top1:.2f} %" in text
    assert f"{published.origin.licence}, as published" in text
    assert "trained on cifar10" in text
    assert "whole 32x32" in text


def test_many_classes_are_counted_not_listed():
    text = card({}, [f"class{i}" for i in range(1000)])
    assert "class19, and 980 more" in text
    assert "class20" not in text


def test_a_card_is_hashed_with_the_other_files(tmp_path):
    facts = dict(WRITTEN)
    saved_model._described(tmp_path, facts, ("cat", "dog"))
    assert model_card.FILE in facts["sha256"]
