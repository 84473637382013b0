"""Training from trained weights: what is frozen, what travels with the model, cut and continued."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
from class_folders import class_folders

import keras_resnet
from keras_resnet.weights import transfer
from training.cli import main
from training.config import recipes
from training.config.jobs import Job
from training.models import networks, preprocessing
from training.trainer import run
from training.trainer.backends import running
from training.trainer.train import Options, train

pytestmark = pytest.mark.slow

CHANGES = ("epochs=4", "batch_size=4", "held_out=2", "top_fraction=0.5", "augmentation=none")
RECIPE = recipes.override(recipes.load("finetune"), CHANGES)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A net's weights, its moving statistics among them unlike those of a new net."""
    keras.utils.set_random_seed(5)
    net = keras_resnet.CifarResNet(8, weights=None, classes=7)
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(np.linspace(-1, 1, layer.moving_mean.shape[0]))
    path = tmp_path_factory.mktemp("weights") / "net.weights.h5"
    net.save_weights(path)
    return str(path)


@pytest.fixture(scope="module")
def job(weights: str, tmp_path_factory: pytest.TempPathFactory) -> Job:
    root = class_folders(tmp_path_factory.mktemp("data") / "animals", "cat", "dog", images=12)
    data = {"data_dir": str(root), "weights": weights, "preprocessing": "torch"}
    return Job("resnet8", "folder", RECIPE, **data)


@pytest.fixture(scope="module")
def whole(job: Job, tmp_path_factory: pytest.TempPathFactory):
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, train(job, workdir)


def donor(weights: str) -> dict[str, np.ndarray]:
    return transfer.arrays_of(keras_resnet.CifarResNet(8, weights=weights, classes=7))


@pytest.fixture(scope="module")
def top_alone(job: Job, tmp_path_factory: pytest.TempPathFactory):
    """The run, paused while the top trains, and again where the whole network is about to train."""
    workdir = tmp_path_factory.mktemp("paused")
    train(job, workdir, options=Options(pause_after=1))
    return workdir, train(job, workdir, options=Options(pause_after=2))


def test_first_the_top_alone_then_all_but_batch_norm(top_alone, whole, weights):
    start, top, end = donor(weights), *(transfer.arrays_of(x[1].model) for x in (top_alone, whole))
    for name, array in start.items():
        if name.startswith("predictions/"):
            continue
        np.testing.assert_array_equal(top[name], array, err_msg=name)
        moved = not np.array_equal(end[name], array)
        assert moved == ("_bn/" not in name), name
    assert not np.array_equal(end["predictions/kernel"], top["predictions/kernel"])
    assert [row["learning_rate"] for row in whole[1].rows][1] < RECIPE.top_learning_rate / 2


def test_cut_within_the_first_part_and_after_it_and_continued(job, whole, top_alone):
    continued = train(job, top_alone[0])
    assert [row["step"] for row in continued.rows] == [row["step"] for row in whole[1].rows]
    found = transfer.arrays_of(continued.model)
    for name, array in transfer.arrays_of(whole[1].model).items():
        np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("convention", ["caffe", "torch", "cifar10"])
def test_the_preprocessing_of_the_weights_travels_with_the_model(job, weights, convention):
    this = run.load(dataclasses.replace(job, preprocessing=convention), running(), Options())
    net = networks.trainable(this.architecture, this.dataset, False, this.preprocessing)
    networks.start_from(net, this.architecture, weights, this.preprocessing.bgr_weights)
    finished = networks.complete(net, this.architecture, this.preprocessing)
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    features = keras.Model(finished.input, finished.get_layer("avg_pool").output)
    trunk = keras_resnet.ResNet(
        this.architecture, include_top=False, weights=weights, pooling="avg"
    )
    expected = trunk.predict(keras_resnet.preprocess_input(pixels, convention), verbose=0)
    np.testing.assert_allclose(features.predict(pixels, verbose=0), expected, rtol=1e-3, atol=1e-3)


def test_an_earlier_run_s_model_brings_its_preprocessing(job, whole):
    model_file = str(whole[1].model_file)
    found = preprocessing.of_weights(model_file, job.architecture, None, (32, 32, 3))
    expected = preprocessing.of_weights(job.weights, job.architecture, "torch", (32, 32, 3))
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-6)
    np.testing.assert_allclose(found.std, expected.std, rtol=1e-6)
    again = dataclasses.replace(job, weights=model_file, preprocessing=None)
    this = run.load(again, running(), Options())
    net = networks.trainable(this.architecture, this.dataset, False, this.preprocessing)
    networks.start_from(net, this.architecture, model_file, bgr=False)
    for name, array in transfer.arrays_of(whole[1].model).items():
        if not name.startswith("predictions/"):
            np.testing.assert_array_equal(transfer.arrays_of(net)[name], array, err_msg=name)


def test_frozen_stages_stay(job, weights, tmp_path, eagerly):
    recipe = recipes.override(RECIPE, ["epochs=1", 'freeze=["conv3"]'])
    end = transfer.arrays_of(train(dataclasses.replace(job, recipe=recipe), tmp_path).model)
    for name, array in donor(weights).items():
        if not name.startswith("predictions/"):
            stays = name.startswith(("conv1_", "conv2_", "conv3_"))
            assert np.array_equal(end[name], array) == stays, name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--weights", "nothing"], "nothing"),
        (["--recipe", "finetune"], "give --weights"),
        (["--preprocessing", "torch"], "give both, or neither"),
        (["--freeze", "conv9"], "conv9"),
        (["--weights", "cifar10", "--preprocessing", "caffe"], "need the preprocessing cifar10"),
    ],
)
def test_wrong_arguments_end_with_2(job, arguments, said, tmp_path, capsys):
    given = ["train", "--network=resnet20", "--dataset=folder", f"--data-dir={job.data_dir}"]
    assert main([*given, f"--workdir={tmp_path / 'run'}", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
