# ruff: noqa: E402  the packages are an extra
"""The embedded server and TF Serving, if installed, answer alike over real sockets."""

from __future__ import annotations

import base64

import numpy as np
import pytest
import served

for package in ("tensorflow_serving", "grpc"):
    pytest.importorskip(package, reason=f"the extra `serving` is not installed: no {package}")

from running_server import expected
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from training.cli import main


@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_files_give_the_keras_models_probabilities(server, kind):
    images = [served.image(i, k) for i, k in enumerate(("PNG", "JPEG", "BMP"))]
    for options, seed in (
        ({"version": 1}, 0),
        ({"label": "stable"}, 0),
        ({"version": 2}, 1),
        ({"label": "canary"}, 1),
        ({}, 1),  # the newest
    ):
        found = server.client(kind, **options).probabilities(images)
        np.testing.assert_allclose(found, expected(images, seed), atol=1e-5)


@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_classes_and_features(server, kind):
    images = [served.image(i) for i in range(2)]
    client = server.client(kind, version=1)
    for best, row in zip(client.classify(images), expected(images, 0), strict=True):
        order = np.argsort(-row)[:5]
        assert [one.number for one in best] == order.tolist()
        assert [one.label for one in best] == [served.CLASSES[i] for i in order]
        np.testing.assert_allclose([one.probability for one in best], row[order], atol=1e-5)
    assert client.embeddings(images).shape == (2, 64)


def test_pixels_by_row_and_by_column(server):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3))
    path = "/v1/models/net/versions/1:predict"
    status, rows = server.rest("POST", path, {"instances": pixels.tolist()})
    assert status == 200
    status, columns = server.rest("POST", path, {"inputs": {"pixels": pixels.tolist()}})
    assert status == 200
    reference = served.tiny(0).model(pixels.astype("f4"), training=False)
    for found in (rows["predictions"], columns["outputs"]):
        np.testing.assert_allclose(found, reference, atol=1e-5)
    found = server.client(version=1).predict({"pixels": pixels.astype(np.uint8)}, "serve_uint8")
    np.testing.assert_allclose(found["probabilities"], reference, atol=1e-5)


def test_rest_rows_with_several_outputs(server):
    encoded = base64.b64encode(served.image()).decode()
    request = {"signature_name": "classify", "instances": [{"image_bytes": {"b64": encoded}}]}
    status, answer = server.rest("POST", "/v1/models/net/labels/stable:predict", request)
    assert status == 200
    assert set(answer["predictions"][0]) == {"labels", "classes", "probabilities"}
    bare = {"signature_name": "classify", "instances": [{"b64": encoded}]}
    assert server.rest("POST", "/v1/models/net/labels/stable:predict", bare) == (200, answer)


def test_the_classify_interface(server):
    image = served.image()
    best = server.client(version=1).classify([image])[0]
    row = {"image_bytes": {"b64": base64.b64encode(image).decode()}}
    request = {"signature_name": "classify_examples", "examples": [row]}
    status, answer = server.rest("POST", "/v1/models/net/versions/1:classify", request)
    assert status == 200
    assert [label for label, _ in answer["results"][0]] == [one.label for one in best]

    message = classification_pb2.ClassificationRequest()
    message.model_spec.name = "net"
    message.model_spec.version.value = 1
    message.model_spec.signature_name = "classify_examples"
    example = message.input.example_list.examples.add()
    example.features.feature["image_bytes"].bytes_list.value.append(image)
    with server.channel() as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        result = stub.Classify(message).result
    assert [one.label for one in result.classifications[0].classes] == [b.label for b in best]


def test_metadata_and_status(server):
    status, answer = server.rest("GET", "/v1/models/net")
    states = {one["version"]: one["state"] for one in answer["model_version_status"]}
    assert (status, states) == (200, {"1": "AVAILABLE", "2": "AVAILABLE"})
    status, answer = server.rest("GET", "/v1/models/net/versions/1")
    assert [one["version"] for one in answer["model_version_status"]] == ["1"]
    status, answer = server.rest("GET", "/v1/models/net/labels/stable/metadata")
    assert status == 200
    assert answer["model_spec"]["version"] == "1"
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert signatures["serve_bytes"]["inputs"]["image_bytes"]["dtype"] == "DT_STRING"

    with server.channel() as channel:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = "net"
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        packed = stub.GetModelMetadata(request).metadata["signature_def"]
        found = get_model_metadata_pb2.SignatureDefMap()
        assert packed.Unpack(found)
        assert set(signatures) - {"__saved_model_init_op"} == set(found.signature_def) - {
            "__saved_model_init_op"
        }
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "net"
        states = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request)
        assert sorted(s.version for s in states.model_version_status) == [1, 2]


def test_the_predict_command_answers_every_file_but_a_broken_one(server, tmp_path, capsys):
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(served.image())
    (tmp_path / "b.png").write_bytes(served.image()[:60])
    address = f"grpc://127.0.0.1:{server.grpc_port}"
    assert main(["predict", "net", str(tmp_path), "--server", address, "--top=2"]) == 1
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        str(tmp_path / name) for name in ("a.png", "c.png")
    ]
    assert sum(label in lines[0] for label in served.CLASSES) == 2
    assert "b.png: cannot be read" in printed.err
