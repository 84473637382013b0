# ruff: noqa: E402  the packages are an extra
"""The same questions over real sockets to the embedded server and, where it is, to TF Serving."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import socket
import subprocess
import urllib.request
from dataclasses import dataclass

import numpy as np
import pytest
import served
import tensorflow as tf

for package in ("tensorflow_serving", "grpc", "starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(package, reason=f"the extra `serving` is not installed: no {package}")

import grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from training.cli import main
from training.export import model_base
from training.export.signatures import ImageInput
from training.serving.client import Client, RequestError
from training.serving.server.server import Server

TF_SERVING = shutil.which("tensorflow_model_server")


@dataclass
class Running:
    grpc_port: int
    rest_port: int
    embedded: bool

    def client(self, kind="grpc", **options):
        port = self.grpc_port if kind == "grpc" else self.rest_port
        return Client(f"{kind}://127.0.0.1:{port}", "net", **options)

    def channel(self):
        return grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")

    def rest(self, method, path, body=None):
        """(status, JSON)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=30)
        if isinstance(body, dict):
            body = json.dumps(body)
        connection.request(method, path, body)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, json.loads(text)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Version 1 is stable, version 2 the canary."""
    base = tmp_path_factory.mktemp("base")
    served.export_tiny(base, seed=0)
    served.export_tiny(base, seed=1)
    return base


@pytest.fixture(scope="module", params=["embedded", "tensorflow_model_server"])
def server(request, base):
    config = base / model_base.LOCAL_CONFIG
    if request.param == "embedded":
        with Server(config, grpc_port=0, rest_port=0) as running:
            yield Running(running.grpc_port, running.rest_port, embedded=True)
        return
    if TF_SERVING is None:
        pytest.skip("tensorflow_model_server is not installed")
    ports = free_port(), free_port()
    process = subprocess.Popen(
        [
            TF_SERVING,
            f"--port={ports[0]}",
            f"--rest_api_port={ports[1]}",
            f"--model_config_file={config}",
            "--allow_version_labels_for_unavailable_models=true",
        ]
    )
    running = Running(*ports, embedded=False)
    try:
        served.until(lambda: _answers(running))
        yield running
    finally:
        process.terminate()
        process.wait(30)


def _answers(running):
    try:
        running.client(seconds=1).probabilities([served.image()])
    except RequestError:
        return False
    return True


def expected(images, seed):
    """What the Keras model says of files, decoded and resized by hand."""
    model = served.tiny(seed)
    decode = ImageInput(model.resizing, channels=3, max_pixels=10**6).decode
    return model.model(decode(tf.constant(images)), training=False).numpy()


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


# What is refused, and how


def png_of(width, height):
    png = served.image()
    return png[:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + png[24:]


@pytest.mark.parametrize("kind", ["grpc", "http"])
@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "no readable"),
        (b"no image at all", "no readable"),
        (served.image()[:60], ""),
        (served.image(kind="JPEG")[:300], ""),
        (served.image(kind="GIF")[:60], ""),
        (png_of(50_000, 50_000), "larger than"),
        (png_of(0, 10), "no readable"),
    ],
    ids=["empty", "text", "cut png", "cut jpeg", "cut gif", "bomb", "no width"],
)
def test_broken_images(server, kind, image, reason):
    with pytest.raises(RequestError, match=reason) as caught:
        server.client(kind).probabilities([image])
    assert caught.value.code == "INVALID_ARGUMENT"
    server.client(kind).probabilities([served.image()])  # it goes on


PIXELS = np.zeros((1, 32, 32, 3), "f4")


@pytest.mark.parametrize("kind", ["grpc", "http"])
@pytest.mark.parametrize(
    ("options", "inputs", "signature", "codes"),
    [
        ({"version": 9}, {"pixels": PIXELS}, "serving_default", "NOT_FOUND"),
        ({"label": "no"}, {"pixels": PIXELS}, "serving_default", "NOT_FOUND"),
        ({}, {"pixels": PIXELS}, "no_signature", "INVALID_ARGUMENT"),
        ({}, {"other": PIXELS}, "serving_default", "INVALID_ARGUMENT"),
        ({}, {"pixels": np.zeros((1, 32, 32), "f4")}, "serving_default", "INVALID_ARGUMENT"),
        ({}, {"pixels": np.zeros((1, 32, 32, 4), "f4")}, "serving_default", "INVALID_ARGUMENT"),
        ({}, {"pixels": np.array([b"text"], object)}, "serving_default", "INVALID_ARGUMENT"),
        ({}, {"pixels": np.full((1, 32, 32, 3), 300)}, "serve_uint8", "INVALID_ARGUMENT"),
        ({}, {"image_bytes": np.zeros((1,), "f4")}, "serve_bytes", "INVALID_ARGUMENT"),
        ({}, {"image_bytes": np.array([[b"a"]], object)}, "serve_bytes", "INVALID_ARGUMENT"),
        ({}, {}, "serving_default", "INVALID_ARGUMENT"),
    ],
    ids=["version", "label", "signature", "input name", "rank", "channels", "strings for numbers",
         "uint8 range", "numbers for strings", "strings' rank", "no input"],
)  # fmt: skip
def test_wrong_requests(server, kind, options, inputs, signature, codes):
    with pytest.raises(RequestError) as caught:
        server.client(kind, **options).predict(inputs, signature)
    allowed = {codes} if server.embedded else {codes, "FAILED_PRECONDITION"}
    assert caught.value.code in allowed
    assert caught.value.message


def test_an_unknown_model(server):
    client = Client(f"grpc://127.0.0.1:{server.grpc_port}", "nope")
    with pytest.raises(RequestError, match="Servable not found for request") as caught:
        client.probabilities([served.image()])
    assert caught.value.code == "NOT_FOUND"
    assert server.rest("GET", "/v1/models/nope")[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "null",
        "[]",
        '"text"',
        "{}",
        '{"instances": []}',
        '{"instances": 5}',
        '{"instances": [[1, 2], [3]]}',
        '{"instances": [NaN]}',
        '{"instances": [{"pixels": 1}, {"other": 2}]}',
        '{"instances": [1], "inputs": [1]}',
        '{"signature_name": 5, "instances": [1]}',
        '{"signature_name": "serve_bytes", "instances": [{"b64": "not base64!"}]}',
        '{"signature_name": "serve_bytes", "instances": [{"b64": 5}]}',
        '{"signature_name": "serve_bytes", "instances": [null]}',
        '{"instances": [' + "9" * 5000 + "]}",
        "[" * 100_000,
        '{"instances": ' + "[" * 500 + "]" * 500 + "}",
        b"\xff\xfe\x00",
    ],
)
def test_malformed_json(server, body):
    status, answer = server.rest("POST", "/v1/models/net:predict", body)
    assert status == 400
    assert answer["error"]


# The embedded server's own


@pytest.fixture(scope="module")
def embedded(base):
    from training.serving.server.configuration import Batching
    from training.serving.server.limits import Limits

    limits = Limits(request_bytes=100_000, batch=4, pixels=3000, seconds=20)
    batching = Batching(max_batch_size=8, batch_timeout_micros=200_000, num_batch_threads=1)
    config = base / model_base.LOCAL_CONFIG
    with Server(config, grpc_port=0, rest_port=0, limits=limits, batching=batching) as running:
        yield Running(running.grpc_port, running.rest_port, embedded=True)


@pytest.mark.parametrize("kind", ["grpc", "http"])
@pytest.mark.parametrize(
    ("inputs", "signature"),
    [
        ({"image_bytes": np.array([b"x"] * 5, object)}, "serve_bytes"),
        ({"pixels": np.zeros((1, 60, 60, 3), "u1")}, "serve_uint8"),
        ({"image_bytes": np.array([b"x" * 200_000], object)}, "serve_bytes"),
    ],
    ids=["batch", "pixels", "bytes"],
)
def test_limits(embedded, kind, inputs, signature):
    with pytest.raises(RequestError) as caught:
        embedded.client(kind).predict(inputs, signature)
    assert caught.value.code == "RESOURCE_EXHAUSTED"


def test_a_value_that_stands_for_a_huge_tensor(embedded):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "net"
    tensor = request.inputs["pixels"]
    tensor.dtype = 1
    for size in (10**5, 10**5, 10**5, 3):
        tensor.tensor_shape.dim.add(size=size)
    tensor.float_val.append(0.0)
    with embedded.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_what_is_not_offered_says_so(embedded):
    request = regression_pb2.RegressionRequest()
    with embedded.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Regress(request)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert embedded.rest("GET", "/v1/models/net:predict")[0] == 405
    assert embedded.rest("POST", "/v1/models/net/metadata", "{}")[0] == 405
    for path in ("/v1/models/net:regress", "/v1/models/net/versions/x", "/v1/models/a/b/c"):
        assert embedded.rest("POST", path, "{}")[0] == 404


def test_requests_at_the_same_time_share_batches_and_keep_their_answers(embedded):
    from concurrent.futures import ThreadPoolExecutor

    images = [served.image(i) for i in range(12)]
    reference = expected(images, 1)

    def ask(i):
        image = images[i] if i % 4 else b"broken"
        try:
            return embedded.client().probabilities([image])[0]
        except RequestError as error:
            return error.code

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(ask, range(12)))
    for i, answer in enumerate(found):
        if i % 4:
            np.testing.assert_allclose(answer, reference[i], atol=1e-5)
        else:
            assert answer == "INVALID_ARGUMENT"
    address = f"http://127.0.0.1:{embedded.rest_port}/monitoring/prometheus/metrics"
    with urllib.request.urlopen(address) as response:
        metrics = dict(
            line.rsplit(" ", 1) for line in response.read().decode().splitlines() if line[0] != "#"
        )
    batches = float(metrics['serving_batch_images_count{model="net"}'])
    computed = float(metrics['serving_batch_images_sum{model="net"}'])
    assert computed > batches  # some had more than one image
    name = 'serving_requests_total{api="grpc",code="INVALID_ARGUMENT",method="Predict",model="net"}'
    assert float(metrics[name]) >= 3
    assert float(metrics['serving_loaded_versions{model="net"}']) == 2


def test_it_listens_on_this_machine_only(embedded):
    others = socket.gethostbyname_ex(socket.gethostname())[2]
    for address in others:
        if address.startswith("127."):
            continue
        for port in (embedded.grpc_port, embedded.rest_port):
            with pytest.raises(OSError):  # noqa: PT011  refused, whichever way
                socket.create_connection((address, port), 2).close()


def test_a_port_in_use_is_an_error(base, embedded):
    config = base / model_base.LOCAL_CONFIG
    with pytest.raises(OSError, match="gRPC cannot listen"):
        Server(config, grpc_port=embedded.grpc_port, rest_port=0)


def test_addresses_of_clients():
    for address in ("localhost:8500", "ftp://a:1", "grpc://", "http://a:1/path"):
        with pytest.raises(ValueError, match="A server is grpc://"):
            Client(address, "net")


def test_batching_is_chosen_from_latencies(tmp_path):
    from training.serving import batching_parameters
    from training.serving.server import configuration

    measured = {1: 0.010, 2: 0.015, 4: 0.025, 8: 0.050, 16: 0.099}
    assert batching_parameters.choose(measured, 1.0) == 4  # 8 computes no faster than 4
    assert batching_parameters.choose(measured, 0.020) == 2
    assert batching_parameters.choose(measured, 0.001) == 1
    batching_parameters.write(tmp_path / "file", measured, 1.0)
    found = configuration.batching(tmp_path / "file")
    assert (found.max_batch_size, found.batch_timeout_micros) == (4, 5000)
