"""Files of other runtimes give the probabilities of the Keras model."""

from __future__ import annotations

import keras
import pytest
import served

import keras_resnet
from training.data import sample_images
from training.data.resizing import Resizing
from training.export import other_runtimes
from training.export.inference_network import inference_network
from training.models.image_classifier import image_classifier
from training.models.trained_model import TrainedModel


@pytest.fixture(scope="module")
def trained():
    """The net that comes with the package: int8 has no meaning for random weights."""
    model = image_classifier(keras_resnet.ResNet20(weights="cifar10"), "cifar10")
    return TrainedModel(model, Resizing(32, 32), served.CLASSES)


@pytest.fixture(scope="module")
def network(trained):
    return inference_network(trained.model).network


@pytest.mark.parametrize("name", ["onnx", "openvino", "litert", "litert-int8"])
def test_other_runtimes_give_the_same_probabilities(tmp_path, name, trained, network):
    try:
        other_runtimes.require([name])
    except ValueError as error:
        pytest.skip(str(error))
    encoded = sample_images.encoded(None, 4, 32, 3)
    for number, image in enumerate(encoded):
        (tmp_path / f"{number}.jpg").write_bytes(image)
    report = other_runtimes.write(
        network, encoded, tmp_path, formats=[name], images=tmp_path, trained=trained
    )["runtimes"][name]
    assert report["largest_difference"] < (0.1 if name == "litert-int8" else 1e-5)
    assert report["images_compared"] == 4


def test_an_operation_that_a_converter_lacks_is_named(tmp_path, capfd):
    try:
        other_runtimes.require(["onnx"])
    except ValueError as error:
        pytest.skip(str(error))
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, keras.ops.erfinv(x), name="net")
    with pytest.raises(ValueError, match=r"onnx cannot take net: .*Erfinv"):
        other_runtimes._converted(model, "onnx", tmp_path / "model.onnx", None)
    assert "tf2onnx" not in "".join(capfd.readouterr())
