"""Trained models from files and from published weights, with labels and preprocessing."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import served
from pictures import picture

import keras_resnet
from keras_resnet import weights
from training.data.decoding.resizing import Resizing
from training.models import trained_model
from training.models.trained_model import TrainedModel


def test_a_trained_models_file_brings_its_class_names(tmp_path):
    served.tiny().model.save(tmp_path / "model.keras")
    result = {"class_names": served.CLASSES, "test_error": 12.5, "test_examples": 80}
    (tmp_path / "result.json").write_text(json.dumps(result))
    found = trained_model.from_file(tmp_path / "model.keras")
    assert found.labels == served.CLASSES
    assert found.resizing == Resizing(32, 32)
    assert found.facts["test_error"] == {"test_error": 12.5, "test_examples": 80}


@pytest.mark.parametrize("convention", ["caffe", "torch"])
def test_weights_files_are_served_with_their_preprocessing(tmp_path, convention):
    net = keras_resnet.CifarResNet(8)
    net.save_weights(tmp_path / "net.weights.h5")
    found = trained_model.from_weights(
        "resnet8", str(tmp_path / "net.weights.h5"), convention=convention
    )
    pixels = picture(32, 32)[np.newaxis].astype("f4")
    expected = net(keras_resnet.preprocess_input(pixels, convention))
    np.testing.assert_allclose(found.model(pixels), expected, atol=1e-5)
    with pytest.raises(ValueError, match="--preprocessing"):
        trained_model.from_weights("resnet8", str(tmp_path / "net.weights.h5"))


def test_every_published_protocol_says_how_to_resize():
    for published in weights.list_published():
        resizing = trained_model.protocol_resizing(published.origin.protocol)
        if published.origin.data_set == "cifar10":
            assert (resizing.shorter_side, resizing.crop) == (32, 32)
            continue
        assert resizing.crop == 224
        assert 224 < resizing.shorter_side <= 256
    a1 = next(
        published for published in weights.list_published("resnet50") if "timm" in published.name
    )
    assert trained_model.protocol_resizing(a1.origin.protocol).method == "bicubic"


def test_a_model_fits_its_size_and_its_labels():
    model = served.tiny().model
    with pytest.raises(ValueError, match="10 classes; given 2 labels"):
        TrainedModel(model, Resizing(32, 32), ("a", "b"))
    with pytest.raises(ValueError, match="not images of 64x64"):
        TrainedModel(model, Resizing(64, 64), served.CLASSES)
    features = keras.Model(model.input, model.layers[-3].output)
    with pytest.raises(ValueError, match="not probabilities"):
        TrainedModel(features, Resizing(32, 32), served.CLASSES)


def test_a_lambda_is_refused_and_never_run(tmp_path):
    mark = tmp_path / "executed"
    x = keras.Input((8, 8, 3))
    doubled = keras.layers.Lambda(lambda x, mark=str(mark): (open(mark, "w").close(), x)[1])(x)
    keras.Model(x, doubled).save(tmp_path / "model.keras")
    mark.unlink()
    with pytest.raises(ValueError, match="Lambda layer is code, which is not run"):
        trained_model.from_file(tmp_path / "model.keras")
    assert not mark.exists()


def test_layers_of_unknown_classes_and_damaged_files(tmp_path):
    @keras.saving.register_keras_serializable("elsewhere")
    class Doubled(keras.layers.Layer):
        def call(self, x):
            return 2 * x

    x = keras.Input((8, 8, 3))
    keras.Model(x, Doubled()(x)).save(tmp_path / "model.keras")
    del Doubled.call
    with pytest.raises(ValueError, match=r"model.keras cannot be opened: .*Doubled.call"):
        trained_model.from_file(tmp_path / "model.keras")
    del keras.saving.get_custom_objects()["elsewhere>Doubled"]
    with pytest.raises(ValueError, match="layers of classes that are not Keras's"):
        trained_model.from_file(tmp_path / "model.keras")
    (tmp_path / "broken.keras").write_bytes(b"PK no archive")
    with pytest.raises(ValueError, match="cannot be opened: it is damaged"):
        trained_model.from_file(tmp_path / "broken.keras")
    with pytest.raises(FileNotFoundError, match="There is no model file"):
        trained_model.from_file(tmp_path / "absent.keras")


def test_labels_as_editors_save_them(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_bytes("\ufeffcafé\r\ntea\r\n\r\n".encode())
    assert trained_model.read_labels(file) == ["café", "tea"]
    file.write_bytes("café".encode("latin-1"))
    with pytest.raises(ValueError, match=r"labels\.txt is not in UTF-8"):
        trained_model.read_labels(file)
