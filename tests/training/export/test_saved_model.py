"""Exported versions answer as the Keras model does, are whole, and are never overwritten."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_resnet
from keras_resnet import weights
from training.data import image_headers, sample_images
from training.data.resizing import Resizing
from training.export import model_base
from training.export import saved_model as exporting
from training.export.saved_model import export
from training.models import trained_model
from training.models.trained_model import TrainedModel

CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def served(resizing=None, channels=3, seed=0):
    """A CIFAR net as `train` finishes it: mean subtraction in front, softmax on top."""
    keras.utils.set_random_seed(seed)
    resizing = resizing or Resizing(32, 32)
    shape = (resizing.crop, resizing.crop, channels)
    pixels = keras.Input(shape, name="pixels")
    mean = np.random.default_rng(seed).uniform(100, 140, shape)
    centred = keras.layers.Normalization(
        axis=(1, 2, 3), mean=mean, variance=np.full(shape, 3600.0), name="mean_subtraction"
    )(pixels)
    return TrainedModel(keras_resnet.CifarResNet(8, input_tensor=centred), resizing, CLASSES)


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return export(served(), "net", tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def signatures(version):
    loaded = tf.saved_model.load(version)
    signatures = loaded.signatures
    yield signatures
    del loaded


def picture(height, width, channels=3, seed=0):
    """A smooth picture, which JPEG keeps well: uint8 (height, width, channels)."""
    x = np.linspace(0, 3, width)[None, :, None]
    y = np.linspace(0, 2, height)[:, None, None]
    c = np.arange(channels) + seed
    return (127 + 120 * np.sin(x * (1 + c) + y)).astype(np.uint8)


def file_bytes(pixels, kind, **options):
    file = io.BytesIO()
    squeezed = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    Image.fromarray(squeezed).save(file, kind, **options)
    return file.getvalue()


def test_pixels_of_the_networks_size_give_the_keras_models_probabilities(signatures):
    pixels = np.stack([picture(32, 32, seed=i) for i in range(3)])
    expected = served().model.predict(pixels.astype("f4"), verbose=0)
    floats = signatures["serving_default"](pixels=tf.constant(pixels, tf.float32))
    bytes_ = signatures["serve_uint8"](pixels=tf.constant(pixels))
    for found in (floats, bytes_):
        np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)


def pillow_resized(pixels, resizing):
    """The same resizing by another program: Pillow's is antialiased too."""
    height, width = pixels.shape[:2]
    scale = resizing.shorter_side / min(height, width)
    top, left = ((side * scale - resizing.crop) / 2 / scale for side in (height, width))
    side = resizing.crop / scale
    kernel = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    bands = [
        Image.fromarray(pixels[..., i].astype("f4")).resize(
            (resizing.crop,) * 2, kernel[resizing.method], box=(left, top, left + side, top + side)
        )
        for i in range(pixels.shape[-1])
    ]
    return np.stack([np.asarray(band) for band in bands], axis=-1)


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(100, 70), (40, 200), (31, 33)])
def test_any_size_is_resized_and_cropped_as_pillow_would(method, height, width):
    from training.export.signatures import Signatures

    resizing = Resizing(36, 32, method)
    module = Signatures(served(resizing).model, resizing, CLASSES, top=3, max_pixels=10**6)
    pixels = picture(height, width)
    found = module.resize(tf.constant(pixels[np.newaxis]))[0].numpy()
    expected = pillow_resized(pixels, resizing)
    # Pillow's borders are of the box that was cut out, ours of the whole picture.
    inner = np.s_[3:-3, 3:-3]
    bound = 0.5 if method == "bilinear" else 1.0
    np.testing.assert_allclose(found[inner], expected[inner], atol=bound)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "JPEG", "GIF", "WEBP"])
def test_files_give_what_their_pixels_give(signatures, kind):
    pixels = picture(48, 80)
    encoded = file_bytes(pixels, kind, **({"lossless": True} if kind == "WEBP" else {}))
    decoded = tf.io.decode_image(encoded, channels=3, expand_animations=False)[np.newaxis]
    expected = signatures["serve_uint8"](pixels=decoded)["probabilities"]
    found = signatures["serve_bytes"](image_bytes=tf.constant([encoded]))["probabilities"]
    # JPEG's decoder has a fast and an exact way; the exact one is training's.
    np.testing.assert_allclose(found, expected, atol=1e-2 if kind == "JPEG" else 1e-5)


def test_classify_names_the_best_classes_in_order(signatures):
    encoded = [file_bytes(picture(32, 32, seed=i), "PNG") for i in range(3)]
    probabilities = signatures["serve_bytes"](image_bytes=tf.constant(encoded))["probabilities"]
    best = signatures["classify"](image_bytes=tf.constant(encoded))
    order = np.argsort(-probabilities.numpy(), axis=1)[:, :5]
    np.testing.assert_array_equal(best["classes"], order)
    assert best["labels"].numpy().astype(str).tolist() == np.array(CLASSES)[order].tolist()
    np.testing.assert_allclose(
        best["probabilities"], np.take_along_axis(probabilities.numpy(), order, 1), atol=1e-6
    )


def test_features_are_what_the_classifier_sees(signatures):
    model = served().model
    pixels = picture(32, 32)
    pooled = keras.Model(model.input, model.get_layer("avg_pool").output)
    encoded = tf.constant([file_bytes(pixels, "PNG")])
    np.testing.assert_allclose(
        signatures["features"](image_bytes=encoded)["embedding"],
        pooled(pixels[np.newaxis].astype("f4"), training=False),
        rtol=1e-4,
        atol=1e-5,
    )


# signature: inputs and outputs, as saved_model_cli prints them
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
    "classify_examples": {
        "inputs": "DT_STRING (-1)",
        "classes": "DT_STRING (-1, 5)",
        "scores": "DT_FLOAT (-1, 5)",
    },
}


def test_saved_model_cli_shows_the_documented_interface(version):
    cli = Path(sys.executable).with_name("saved_model_cli")
    shown = subprocess.run(
        [cli, "show", "--dir", version, "--tag_set", "serve", "--all"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = {}
    for part in shown.split("signature_def['")[1:]:
        tensors = re.findall(
            r"\['(\w+)'\] tensor_info:\s+dtype: (\w+)\s+shape: (\(.*\))\s+name", part
        )
        found[part.partition("'")[0]] = {name: f"{kind} {shape}" for name, kind, shape in tensors}
    found.pop("__saved_model_init_op")
    assert found == INTERFACE


def test_what_lies_beside_the_model(version):
    facts = json.loads((version / "assets" / "model.json").read_text())
    assert facts["batch_norm"] == "folded"
    assert facts["largest_difference_from_keras"] <= 1e-5
    assert facts["resizing"] == {"shorter_side": 32, "crop": 32, "method": "bilinear"}
    import hashlib

    assert len(facts["sha256"]) >= 5
    for name, digest in facts["sha256"].items():
        assert hashlib.sha256((version / name).read_bytes()).hexdigest() == digest
    assert tuple((version / "assets" / "labels.txt").read_text().split()) == CLASSES
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
    assert seen == {(signature, n) for signature in INTERFACE for n in (1, 2, 4, 8, 16)}


def test_versions_are_numbered_and_never_overwritten(tmp_path):
    (tmp_path / "net" / "7").mkdir(parents=True)
    (tmp_path / "net" / "7" / "kept").write_text("mine")
    assert export(served(), "net", tmp_path).name == "8"
    assert (tmp_path / "net" / "7" / "kept").read_text() == "mine"


def test_exports_at_the_same_time_take_different_versions(tmp_path):
    home = tmp_path / "net"
    home.mkdir()
    found = []

    def publish(i):
        written = home / f".writing-{i}"
        written.mkdir()
        (written / "saved_model.pb").write_text(str(i))
        found.append((exporting._publish(written, home), str(i)))

    threads = [threading.Thread(target=publish, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(path.name) for path, _ in found) == list(range(1, 21))
    assert all((path / "saved_model.pb").read_text() == i for path, i in found)


def test_a_model_that_answers_otherwise_is_not_published(tmp_path, monkeypatch):
    """The comparison finds a network whose weights changed on the way."""

    def changed(model):
        copy = keras.models.clone_model(model)
        return exporting_network(copy)

    exporting_network = exporting._network
    monkeypatch.setattr(exporting, "_network", changed)
    with pytest.raises(ValueError, match=r"differ by .* Nothing was published"):
        export(served(), "net", tmp_path)
    assert list((tmp_path / "net").iterdir()) == []


def test_a_norm_that_cannot_be_folded_is_kept(tmp_path):
    base = served()
    pooled = base.model.get_layer("avg_pool").output
    x = keras.layers.BatchNormalization(name="head_bn")(pooled)
    model = keras.Model(base.model.input, keras.layers.Dense(10, activation="softmax")(x))
    version = export(TrainedModel(model, Resizing(32, 32), CLASSES), "net", tmp_path)
    facts = json.loads((version / "assets" / "model.json").read_text())
    assert "head_bn follows avg_pool" in facts["batch_norm"]


@pytest.mark.parametrize("name", ["", "../net", "a/b", ".hidden", "a b"])
def test_names_that_are_no_names(tmp_path, name):
    with pytest.raises(ValueError, match="A model's name"):
        export(served(), name, tmp_path)


def test_models_that_give_no_probabilities_are_refused(tmp_path):
    model = served().model
    with pytest.raises(ValueError, match="ends in probabilities"):
        TrainedModel(keras.Model(model.input, model.layers[-3].output), Resizing(32, 32), CLASSES)
    logits = keras_resnet.CifarResNet(8, classifier_activation=None)
    with pytest.raises(ValueError, match="softmax"):
        export(TrainedModel(logits, Resizing(32, 32), CLASSES), "net", tmp_path)
    with pytest.raises(ValueError, match="10 classes; given 2 labels"):
        TrainedModel(model, Resizing(32, 32), ("a", "b"))


# What a model is made from


def test_a_trained_models_file_brings_its_class_names(tmp_path):
    served().model.save(tmp_path / "model.keras")
    result = {"class_names": CLASSES, "test_error": 12.5, "test_examples": 80}
    (tmp_path / "result.json").write_text(json.dumps(result))
    found = trained_model.from_file(tmp_path / "model.keras")
    assert found.labels == CLASSES
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


def test_every_published_row_says_how_to_resize():
    for row in weights.list_published():
        resizing = trained_model.protocol_resizing(row.origin.protocol)
        if row.origin.data_set == "cifar10":
            assert (resizing.shorter_side, resizing.crop) == (32, 32)
            continue
        assert resizing.crop == 224
        assert 224 < resizing.shorter_side <= 256
    a1 = next(row for row in weights.list_published("resnet50") if "timm" in row.name)
    assert trained_model.protocol_resizing(a1.origin.protocol).method == "bicubic"


# Sizes from headers


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 50}),
        ("WEBP", {"exif": b"Exif\0\0", "quality": 50}),  # the extended layout
    ],
)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (37, 300), (513, 20)])
def test_sizes_are_read_from_headers(kind, options, height, width):
    encoded = file_bytes(picture(height, width), kind, **options)
    assert [int(n) for n in image_headers.size(tf.constant(encoded))] == [height, width]


def test_bombs_and_what_is_no_image_are_refused_before_decoding(signatures):
    png = file_bytes(picture(32, 32), "PNG")
    bomb = png[:16] + (50000).to_bytes(4, "big") * 2 + png[24:]
    gif = file_bytes(picture(32, 32), "GIF") + bytes(600_000)
    for encoded, reason in (
        (bomb, "50000 x 50000 pixels is larger than the 33554432 pixels"),
        (gif, "GIF is longer than the 524288 bytes"),
        (b"", "no readable JPEG, PNG"),
        (b"hello", "no readable JPEG, PNG"),
        (png[:20], "no readable JPEG, PNG"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=reason):
            signatures["serve_bytes"](image_bytes=tf.constant([encoded]))


# Labels


def fake_version(base, name, number):
    home = base / name / str(number)
    home.mkdir(parents=True)
    (home / "saved_model.pb").touch()
    model_base.refresh(base)


def test_labels_move_by_promote_and_rollback(tmp_path):
    fake_version(tmp_path, "net", 1)
    assert model_base.labels(tmp_path) == {"net": {"stable": [1]}}
    fake_version(tmp_path, "net", 2)
    assert model_base.labels(tmp_path) == {"net": {"stable": [1], "canary": [2]}}
    assert model_base.promote(tmp_path, "net") == 2
    assert model_base.labels(tmp_path) == {"net": {"stable": [2, 1]}}
    fake_version(tmp_path, "net", 3)
    assert model_base.rollback(tmp_path, "net") == 1
    assert model_base.labels(tmp_path)["net"] == {"stable": [1], "canary": [3]}
    with pytest.raises(ValueError, match="No earlier version"):
        model_base.rollback(tmp_path, "net")
    with pytest.raises(ValueError, match="no version 9; it has 1, 2, 3"):
        model_base.promote(tmp_path, "net", 9)
    with pytest.raises(ValueError, match="has no model 'other'; it has net"):
        model_base.promote(tmp_path, "other")


def test_the_configuration_is_tf_servings(tmp_path):
    config_pb2 = pytest.importorskip(
        "tensorflow_serving.config.model_server_config_pb2", reason="needs tensorflow-serving-api"
    )
    from google.protobuf import text_format

    for name, number in (("a", 1), ("b", 1), ("b", 2), ("b", 3)):
        fake_version(tmp_path, name, number)
    model_base.promote(tmp_path, "b")
    text = (tmp_path / "models.config").read_text()
    parsed = text_format.Parse(text, config_pb2.ModelServerConfig())
    a, b = parsed.model_config_list.config
    assert (a.name, a.base_path, a.model_platform) == ("a", "/models/a", "tensorflow")
    assert dict(a.version_labels) == {"stable": 1}
    assert dict(b.version_labels) == {"stable": 3}
    assert list(b.model_version_policy.specific.versions) == [1, 3]
    local = (tmp_path / "models.local.config").read_text()
    assert f'base_path: "{tmp_path.resolve()}/a"' in local


# Other runtimes


def trained():
    """The net that comes with the package: int8 has no meaning for random weights."""
    pixels = keras.Input((32, 32, 3), name="pixels")
    mean = np.load(keras_resnet.preprocessing.PRETRAINED / "cifar10_mean.npy")
    centred = keras.layers.Normalization(axis=(1, 2, 3), mean=mean, variance=np.ones_like(mean))
    model = keras_resnet.ResNet20(weights="cifar10", input_tensor=centred(pixels))
    return TrainedModel(model, Resizing(32, 32), CLASSES)


@pytest.mark.parametrize("name", ["onnx", "openvino", "litert", "litert-int8"])
def test_other_runtimes_give_the_same_probabilities(tmp_path, name):
    from training.export import other_runtimes

    try:
        other_runtimes.require([name])
    except ValueError as error:
        pytest.skip(str(error))
    model = trained()
    network, _ = exporting._network(model.model)
    encoded = sample_images.encoded(None, 4, 32, 3)
    for number, image in enumerate(encoded):
        (tmp_path / f"{number}.jpg").write_bytes(image)
    report = other_runtimes.write(
        network, encoded, tmp_path, formats=[name], images=tmp_path, served=model
    )["runtimes"][name]
    assert report["largest_difference"] < (0.1 if name == "litert-int8" else 1e-5)
    assert report["images_compared"] == 4


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        ([], "Give --model FILE.keras, or --network", 2),
        (["--network", "resnet50"], "--network and --weights go together", 2),
        (["--model", "absent.keras"], "There is no model file absent.keras", 1),
        (["--model", "x.keras", "--images", "absent"], "There is no folder absent", 1),
    ],
)
def test_the_command_says_what_is_missing(arguments, message, code, capsys):
    from training.cli import main

    assert main(["export", "--name", "net", *arguments]) == code
    assert message in capsys.readouterr().err
