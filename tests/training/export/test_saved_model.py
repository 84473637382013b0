"""Exported versions answer as the Keras model does, are complete, and are never overwritten."""

from __future__ import annotations

import hashlib
import json
import threading

import keras
import numpy as np
import pytest
import served
import tensorflow as tf
from pictures import file_bytes, picture, pillow_resized
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

import keras_resnet
from training.data.decoding.resizing import Resizing
from training.export import saved_model as exporting
from training.export.saved_model import export
from training.export.signatures import ImageInput
from training.models.trained_model import TrainedModel


@pytest.fixture(scope="module")
def version():
    return served.exported()


@pytest.fixture(scope="module")
def signatures(version):
    loaded = tf.saved_model.load(version)
    yield loaded.signatures
    del loaded


def test_pixels_of_the_networks_size_give_the_keras_models_probabilities(signatures):
    pixels = np.stack([picture(32, 32, seed=i) for i in range(3)])
    expected = served.tiny().model(pixels.astype("f4"), training=False)
    floats = signatures["serving_default"](pixels=tf.constant(pixels, tf.float32))
    bytes_ = signatures["serve_uint8"](pixels=tf.constant(pixels))
    for found in (floats, bytes_):
        np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(100, 70), (40, 200), (31, 33)])
def test_any_size_is_resized_and_cropped_as_pillow_would(method, height, width):
    resizing = Resizing(36, 32, method)
    images = ImageInput(resizing, channels=3, max_pixels=10**6)
    pixels = picture(height, width)
    found = images.resize(tf.constant(pixels[np.newaxis]))[0].numpy()
    # At borders Pillow sees the box that was cut out, TensorFlow the whole picture.
    inner = np.s_[3:-3, 3:-3]
    bound = 0.5 if method == "bilinear" else 1.0
    np.testing.assert_allclose(found[inner], pillow_resized(pixels, resizing)[inner], atol=bound)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "JPEG", "GIF", "WEBP"])
def test_files_give_what_their_pixels_give(signatures, kind):
    pixels = picture(48, 80)
    encoded = file_bytes(pixels, kind, **({"lossless": True} if kind == "WEBP" else {}))
    decoded = tf.io.decode_image(encoded, channels=3, expand_animations=False)[np.newaxis]
    expected = signatures["serve_uint8"](pixels=decoded)["probabilities"]
    found = signatures["serve_bytes"](image_bytes=tf.constant([encoded]))["probabilities"]
    # JPEG's decoder has a fast and an exact way; the exact one is training's.
    np.testing.assert_allclose(found, expected, atol=1e-2 if kind == "JPEG" else 1e-5)


def test_bombs_are_refused_before_decoding(signatures):
    png = file_bytes(picture(32, 32), "PNG")
    bomb = png[:16] + (50000).to_bytes(4, "big") * 2 + png[24:]
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match="50000 x 50000 pixels is larger than the 33554432 pixels",
    ):
        signatures["serve_bytes"](image_bytes=tf.constant([bomb]))


def test_classify_names_the_best_classes_in_order(signatures):
    encoded = tf.constant([file_bytes(picture(32, 32, seed=i), "PNG") for i in range(3)])
    probabilities = signatures["serve_bytes"](image_bytes=encoded)["probabilities"].numpy()
    best = signatures["classify"](image_bytes=encoded)
    order = np.argsort(-probabilities, axis=1)[:, :5]
    np.testing.assert_array_equal(best["classes"], order)
    assert best["labels"].numpy().astype(str).tolist() == np.array(served.CLASSES)[order].tolist()
    np.testing.assert_allclose(
        best["probabilities"], np.take_along_axis(probabilities, order, 1), atol=1e-6
    )


def test_features_are_what_the_classifier_sees(signatures):
    model = served.tiny().model
    pixels = picture(32, 32)
    pooled = keras.Model(model.input, model.get_layer("avg_pool").output)
    encoded = tf.constant([file_bytes(pixels, "PNG")])
    np.testing.assert_allclose(
        signatures["features"](image_bytes=encoded)["embedding"],
        pooled(pixels[np.newaxis].astype("f4"), training=False),
        rtol=1e-4,
        atol=1e-5,
    )


def test_grad_cam_is_the_librarys(signatures):
    pixels = np.stack([picture(32, 32, seed=i) for i in range(2)])
    encoded = tf.constant([file_bytes(one, "PNG") for one in pixels])
    found = signatures["grad_cam"](image_bytes=encoded)
    best = signatures["classify"](image_bytes=encoded)
    np.testing.assert_array_equal(found["classes"], best["classes"])
    for rank in range(2):
        expected = keras_resnet.analysis.grad_cam(
            served.tiny().model, pixels.astype("f4"), found["classes"][:, rank].numpy()
        )
        np.testing.assert_allclose(found["maps"][:, rank], expected.maps, atol=1e-4)


# signature: inputs and outputs with their types and shapes
INTERFACE = {
    "serving_default": {"pixels": "DT_FLOAT (-1, -1, -1, 3)", "probabilities": "DT_FLOAT (-1, 10)"},
    "serve_uint8": {"pixels": "DT_UINT8 (-1, -1, -1, 3)", "probabilities": "DT_FLOAT (-1, 10)"},
    "serve_bytes": {"image_bytes": "DT_STRING (-1)", "probabilities": "DT_FLOAT (-1, 10)"},
    "features": {"image_bytes": "DT_STRING (-1)", "embedding": "DT_FLOAT (-1, 64)"},
    "classify": {
        "image_bytes": "DT_STRING (-1)",
        "labels": "DT_STRING (-1, 5)",
        "classes": "DT_INT32 (-1, 5)",
        "probabilities": "DT_FLOAT (-1, 5)",
    },
    "grad_cam": {
        "image_bytes": "DT_STRING (-1)",
        "labels": "DT_STRING (-1, 5)",
        "classes": "DT_INT32 (-1, 5)",
        "probabilities": "DT_FLOAT (-1, 5)",
        "maps": "DT_FLOAT (-1, 5, 8, 8)",
    },
    "classify_examples": {
        "inputs": "DT_STRING (-1)",
        "classes": "DT_STRING (-1, 5)",
        "scores": "DT_FLOAT (-1, 5)",
    },
}


def test_the_file_has_the_documented_interface(version):
    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    found = {}
    for name, signature in saved.meta_graphs[0].signature_def.items():
        tensors = {**signature.inputs, **signature.outputs}
        found[name] = {
            key: f"{types_pb2.DataType.Name(info.dtype)} "
            f"({', '.join(str(dim.size) for dim in info.tensor_shape.dim)})"
            for key, info in tensors.items()
        }
    found.pop("__saved_model_init_op")
    assert found == INTERFACE


def test_what_lies_beside_the_model(version):
    facts = json.loads((version / "assets" / "model.json").read_text())
    assert (facts["batch_norm"], facts["precision"]) == ("folded", "float32")
    assert facts["largest_difference_from_keras"] <= 1e-5
    assert facts["resizing"] == {"shorter_side": 32, "crop": 32, "method": "bilinear"}
    assert len(facts["sha256"]) >= 5
    for name, digest in facts["sha256"].items():
        assert hashlib.sha256((version / name).read_bytes()).hexdigest() == digest
    assert tuple((version / "assets" / "labels.txt").read_text().split()) == served.CLASSES
    assert not list(version.parent.glob(".writing-*"))


def test_warm_up_has_every_signature_and_batch_size(version, signatures):
    logs = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2", reason="needs tensorflow-serving-api"
    )
    seen = set()
    for record in tf.data.TFRecordDataset(
        str(version / "assets.extra" / "tf_serving_warmup_requests")
    ):
        log = logs.PredictionLog.FromString(record.numpy())
        if log.HasField("classify_log"):
            request = log.classify_log.request
            count = len(request.input.example_list.examples)
        else:
            request = log.predict_log.request
            inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
            signatures[request.model_spec.signature_name](**inputs)
            count = len(next(iter(inputs.values())))
        seen.add((request.model_spec.signature_name, count))
    assert seen == {
        (signature, n)
        for signature in INTERFACE
        for n in ((1,) if signature == "grad_cam" else (1, 2, 4, 8, 16))
    }


def written(home, number):
    """A version that is ready to be published."""
    version = home / f".writing-{number}"
    version.mkdir()
    (version / "saved_model.pb").write_text(str(number))
    return version


def test_versions_are_numbered_and_never_overwritten(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "kept").write_text("mine")
    assert exporting._publish(written(tmp_path, 0), tmp_path).name == "8"
    assert (tmp_path / "7" / "kept").read_text() == "mine"


def test_exports_at_the_same_time_take_different_versions(tmp_path):
    found = []

    def publish(i):
        found.append((exporting._publish(written(tmp_path, i), tmp_path), str(i)))

    threads = [threading.Thread(target=publish, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(path.name) for path, _ in found) == list(range(1, 21))
    assert all((path / "saved_model.pb").read_text() == i for path, i in found)


def small():
    """The smallest classifier, for exports that are to fail."""
    x = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(x))
    model = keras.Model(x, keras.layers.Dense(2, activation="softmax")(pooled))
    return TrainedModel(model, Resizing(8, 8), ("a", "b"))


def test_a_model_that_answers_otherwise_is_not_published(tmp_path, monkeypatch):
    """The comparison finds a network whose weights changed on the way."""

    build = exporting.inference_network

    def changed(model):
        classifier = build(model)
        classifier.dense.set_weights([np.eye(3, 2), np.ones(2)])
        return classifier

    trained = small()
    monkeypatch.setattr(exporting, "inference_network", changed)
    with pytest.raises(ValueError, match=r"differ by .* Nothing was published"):
        export(trained, "net", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []  # nor is an empty folder left behind


def test_a_failed_export_keeps_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "net" / "1").mkdir(parents=True)

    def full(classifier, trained, top, version):
        version.mkdir()
        raise OSError("No space left on device")

    monkeypatch.setattr(exporting, "_write_signatures", full)
    with pytest.raises(OSError, match="No space left"):
        export(small(), "net", tmp_path)
    assert list((tmp_path / "net").iterdir()) == [tmp_path / "net" / "1"]


@pytest.mark.parametrize("name", ["", "../net", "a/b", ".hidden", "a b"])
def test_names_that_are_no_names(tmp_path, name):
    with pytest.raises(ValueError, match="The name of a model"):
        export(small(), name, tmp_path)


def test_outputs_that_are_no_probabilities_are_refused(tmp_path):
    x = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(x, keras.layers.Dense(3, activation="relu")(pooled), name="net")
    trained = TrainedModel(model, Resizing(8, 8), ("a", "b", "c"))
    with pytest.raises(ValueError, match=r"net gives no probabilities: .* not to 1"):
        export(trained, "net", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Give --model FILE.keras, or --network"),
        (["--network", "resnet50"], 2, "--network and --weights go together"),
        (["--model", "absent.keras"], 1, "There is no model file absent.keras"),
        (["--model", "x.keras", "--images", "absent"], 1, "There is no folder absent"),
        (
            ["--network", "resnet50", "--weights", "imagenet", "--image-size", "64"],
            2,
            "--image-size is for --model",
        ),
    ],
)
def test_the_command_says_what_is_missing(arguments, code, message, capsys):
    from training.cli import main

    assert main(["export", "--name", "net", *arguments]) == code
    assert message in capsys.readouterr().err
