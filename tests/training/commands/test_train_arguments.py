"""The job that the arguments of `train` ask for."""

from __future__ import annotations

import argparse

import pytest

from training.commands import train
from training.config.jobs import Job


def job(*arguments: str) -> Job:
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return train._job(parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("given", "frozen"),
    [
        ([], ("batch_norm",)),
        (["--freeze", "none"], ()),
        (["--freeze", "conv1..conv3", "batch_norm"], ("conv3", "batch_norm")),
        (["--freeze", "conv2"], ("conv2",)),
    ],
)
def test_what_is_frozen(given, frozen):
    folder = ["--dataset", "folder", "--data-dir", "photos", "--weights", "cifar10"]
    assert job(*folder, *given).recipe.freeze == frozen


def test_small_images_keep_their_augmentation_when_fine_tuned():
    photographs = job("--dataset=folder", "--data-dir=photos", "--weights=cifar10")
    assert photographs.recipe.augmentation == "random_resized_crop"
    small = job("--dataset=cifar10", "--weights=cifar10")
    assert (small.recipe.augmentation, small.recipe.top_fraction) == ("cifar", 0.3)
    assert job("--dataset=cifar10").recipe.augmentation == "cifar"
