"""Files of other runtimes give the probabilities of the Keras model."""

from __future__ import annotations

import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
import served
from pictures import picture

import keras_resnet
from training.data.decoding.resizing import Resizing
from training.data.folder import sample_images
from training.data.splits import ArraySplit, Dataset
from training.export import other_runtimes, runtime_files
from training.export.inference_network import inference_network
from training.models.image_classifier import image_classifier
from training.models.trained_model import TrainedModel

pytestmark = pytest.mark.slow

PARAMETERS = 272_474  # ResNet-20's, 0.27 million in Table 6 of the paper


@pytest.fixture(scope="module")
def trained():
    """The net that comes with the package: int8 has no meaning for random weights."""
    model = image_classifier(keras_resnet.ResNet20(weights="cifar10"), "cifar10")
    return TrainedModel(model, Resizing(32, 32), served.CLASSES)


@pytest.fixture(scope="module")
def network(trained):
    return inference_network(trained.model).network


@pytest.mark.parametrize("name", other_runtimes.FORMATS)
def test_other_runtimes_give_the_same_probabilities(tmp_path, name, trained, network):
    try:
        other_runtimes.require([name])
    except ValueError as error:
        pytest.skip(str(error))
    encoded = sample_images.encoded(None, 4, 32, 3)
    for number, image in enumerate(encoded):
        (tmp_path / f"{number}.jpg").write_bytes(image)
    wanted = runtime_files.Wanted([name], images=tmp_path)
    report = runtime_files.write(wanted, trained, network, encoded, tmp_path)["runtimes"][name]
    assert report["largest_difference"] < (0.1 if "int8" in name else 1e-5)
    assert report["images_compared"] == 4
    file = tmp_path / "runtimes" / report["file"]
    size = sum(part.stat().st_size for part in file.parent.glob(f"{file.stem}.*"))
    assert (size < 2 * PARAMETERS) == ("int8" in name)  # bytes; float32 takes four for each


def test_a_form_that_loses_too_much_is_refused(tmp_path, trained, network):
    """Errors are measured on all test images, the SavedModel's too."""
    encoded = sample_images.encoded(None, 1, 32, 3)
    version = served.exported()  # of another net, with random weights
    pixels = np.stack([picture(32, 32, seed=i) for i in range(50)])
    right = ArraySplit(pixels, trained.model.predict(pixels, verbose=0).argmax(1).astype("i4"))
    dataset = Dataset("drawn", served.CLASSES, (32, 32, 3), right, None, right)
    copied = shutil.copytree(version, tmp_path / "version")
    wanted = runtime_files.Wanted([], dataset=dataset)
    with pytest.raises(ValueError, match=r"savedmodel loses \d+\.00 points .* on 50 test images"):
        runtime_files.write(replace(wanted, max_drop=1), trained, network, encoded, copied)
    (copied / "runtimes").rmdir()
    report = runtime_files.write(wanted, trained, network, encoded, copied)["runtimes"]
    assert report["keras"]["test_error"] == 0 < report["savedmodel"]["test_error"]


def test_an_operation_that_a_converter_lacks_is_named(tmp_path, capfd):
    try:
        other_runtimes.require(["onnx"])
    except ValueError as error:
        pytest.skip(str(error))
    x = keras.Input((8, 8, 3))
    model = keras.Model(x, keras.ops.erfinv(x), name="net")
    with pytest.raises(ValueError, match=r"onnx cannot take net: .*Erfinv"):
        other_runtimes.converted(model, "onnx", tmp_path / "model.onnx", None)
    assert "tf2onnx" not in "".join(capfd.readouterr())
