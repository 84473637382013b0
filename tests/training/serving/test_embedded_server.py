# ruff: noqa: E402  the packages are an extra
"""The embedded server alone: limits, batches of several callers, metrics, one address."""

from __future__ import annotations

import socket
import urllib.request

import numpy as np
import pytest
import served

for package in ("tensorflow_serving", "grpc"):
    pytest.importorskip(package, reason=f"the extra `serving` is not installed: no {package}")

import grpc
from running_server import Running, expected
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc, regression_pb2

from training.export import model_base
from training.serving import batching_parameters
from training.serving.client import RequestError
from training.serving.server import configuration
from training.serving.server.configuration import Batching
from training.serving.server.limits import Limits
from training.serving.server.server import Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def embedded(base):
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


def test_batching_is_chosen_from_latencies(tmp_path):
    measured = {1: 0.010, 2: 0.015, 4: 0.025, 8: 0.050, 16: 0.099}
    assert batching_parameters.choose(measured, 1.0) == 4  # 8 computes no faster than 4
    assert batching_parameters.choose(measured, 0.020) == 2
    assert batching_parameters.choose(measured, 0.001) == 1
    batching_parameters.write(tmp_path / "file", measured, 1.0)
    found = configuration.batching(tmp_path / "file")
    assert (found.max_batch_size, found.batch_timeout_micros) == (4, 5000)


@pytest.mark.parametrize(
    ("runtime", "package"),
    [
        ("onnx", "tf2onnx"),
        pytest.param("openvino", "openvino", marks=pytest.mark.nightly),
        pytest.param("litert", "ai_edge_litert", marks=pytest.mark.nightly),
    ],
)
def test_another_runtime_computes_the_versions_that_have_its_file(
    runtime, package, tmp_path, caplog
):
    """The file is of another net than the SavedModel beside it, so that the answer says its own."""
    pytest.importorskip(package, reason="needs the extra export")
    from training.export import runtime_files
    from training.export.inference_network import inference_network

    images = [served.image(0), served.image(1, height=32, width=32)]
    first, second = (served.export_tiny(tmp_path, seed=seed) for seed in (0, 1))
    other = served.tiny(1)
    network = inference_network(other.model).network
    runtime_files.write(runtime_files.Wanted([runtime]), other, network, images, first)
    config = tmp_path / model_base.LOCAL_CONFIG
    with Server(config, grpc_port=0, rest_port=0, runtime=runtime) as running:
        client = Running(running.grpc_port, running.rest_port, embedded=True).client
        for version in (1, 2):
            found = client(version=version).probabilities(images)
            np.testing.assert_allclose(found, expected(images, seed=1), atol=1e-4)
        one = np.zeros((1, 32, 32, 3), np.uint8)
        with_runtime = client(version=1).predict({"pixels": one}, "serve_uint8")["probabilities"]
        by_tensorflow = client(version=2).predict({"pixels": one}, "serve_uint8")["probabilities"]
        np.testing.assert_allclose(with_runtime, by_tensorflow, atol=1e-4)
        best = client(version=1).predict({"image_bytes": np.array(images, object)}, "classify")
        np.testing.assert_array_equal(
            best["classes"][:, 0], expected(images, seed=1).argmax(axis=1)
        )
        maps = client(version=1).predict({"image_bytes": np.array(images, object)}, "grad_cam")
        np.testing.assert_array_equal(
            maps["classes"][:, 0], expected(images, seed=0).argmax(axis=1)
        )
    assert f"{second} has no file for {runtime}" in caplog.text
    assert f"{first} has no file" not in caplog.text
