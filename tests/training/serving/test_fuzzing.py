# ruff: noqa: E402  the packages are an extra
"""The server answers broken messages, images and JSON with an allowed code, and keeps serving."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket

import numpy as np
import pytest
import served

for package in ("tensorflow_serving", "grpc", "starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(package, reason=f"the extra `serving` is not installed: no {package}")

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from training.serving.client import Client

pytestmark = pytest.mark.slow


def mutated(rng, data):
    """`data` with some bytes changed, cut out, repeated or appended."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 8)):
        i = int(rng.integers(len(data) + 1)) if data else 0
        choice = rng.integers(5)
        if choice == 0 and data:
            data[i % len(data)] = rng.integers(256)
        elif choice == 1:
            del data[i : i + int(rng.integers(1, 50))]
        elif choice == 2:
            data[i:i] = rng.bytes(int(rng.integers(1, 20)))
        elif choice == 3:
            data[i:i] = data[i : i + int(rng.integers(1, 50))]
        else:
            data = data[:i]
    return bytes(data)


JSON_VALUES = (None, True, -1, 1e308, 2**70, "", "text", [], {}, [[]], {"b64": "AA=="}, [1, "a"])


def fuzzed_json(rng):
    def value(depth=0):
        if depth < 3 and rng.random() < 0.4:
            return [value(depth + 1) for _ in range(rng.integers(4))]
        return JSON_VALUES[rng.integers(len(JSON_VALUES))]

    names = ("instances", "inputs", "signature_name", "examples", "pixels")
    body = {names[rng.integers(len(names))]: value() for _ in range(rng.integers(1, 4))}
    text = json.dumps(body).encode()
    return mutated(rng, text) if rng.random() < 0.3 else text


def fuzz(process, count, seed):
    """Sends `count` requests; returns the codes that were answered."""
    rng = np.random.default_rng(seed)
    codes = set()
    valid = predict_pb2.PredictRequest()
    valid.model_spec.name = "net"
    valid.model_spec.signature_name = "serve_bytes"
    image = served.image(kind="JPEG")
    valid.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([image]))
    pixels = predict_pb2.PredictRequest()
    pixels.model_spec.name = "net"
    pixels.inputs["pixels"].CopyFrom(tf.make_tensor_proto(np.zeros((1, 2, 2, 3), "f4")))
    messages = [valid.SerializeToString(), pixels.SerializeToString()]
    kinds = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
    images = [served.image(kind=kind) for kind in kinds]
    signatures = ("predict", "classify", "regress", "", "predict:predict")
    paths = ("net", "net/versions/1", "net/labels/x", "nope", "%2e%2e", "net/versions/" + "9" * 30)
    connection = http.client.HTTPConnection("127.0.0.1", process.rest_port, timeout=60)
    with grpc.insecure_channel(f"127.0.0.1:{process.grpc_port}") as channel:
        raw = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for i in range(count):
            try:
                if i % 3 == 0:  # bytes of a message
                    raw(mutated(rng, messages[rng.integers(2)]), timeout=60)
                elif i % 3 == 1:  # images
                    request = predict_pb2.PredictRequest.FromString(messages[0])
                    broken = mutated(rng, images[rng.integers(len(images))])
                    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([broken]))
                    stub.Predict(request, timeout=60)
                else:
                    path = paths[rng.integers(len(paths))]
                    what = signatures[rng.integers(len(signatures))]
                    connection.request("POST", f"/v1/models/{path}:{what}", fuzzed_json(rng))
                    response = connection.getresponse()
                    assert isinstance(json.loads(response.read()), dict)
                    codes.add(response.status)
                    continue
                codes.add("OK")
            except grpc.RpcError as error:
                codes.add(error.code().name)
    connection.close()
    return codes


# The answers that malformed requests may get. gRPC itself answers INTERNAL to bytes that are no
# message, before the server sees them.
ALLOWED = {
    *(200, 400, 404, 413),
    *("OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "INTERNAL"),
}


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    base = tmp_path_factory.mktemp("fuzzed")
    served.export_tiny(base)
    process = served.Process(base)
    yield process
    if process.alive():
        assert process.stop() == 0


def check_fuzzed(process, count):
    fuzz(process, 150, seed=0)  # what is allocated once
    before = process.resident_mib()
    codes = fuzz(process, count, seed=1)
    assert codes <= ALLOWED
    assert codes >= {400, 404, "INVALID_ARGUMENT"}
    assert process.alive()
    assert not [line for line in process.lines if "in the server" in line]
    grown = process.resident_mib() - before
    assert grown < 64, f"{grown:.0f} MiB more after {count} requests"
    client = Client(f"grpc://127.0.0.1:{process.grpc_port}", "net")
    assert client.probabilities([served.image()]).shape == (1, 10)


def test_fuzzed_requests(process):
    check_fuzzed(process, 300)


@pytest.mark.nightly
def test_ten_thousand_fuzzed_requests(process):
    check_fuzzed(process, 10_000)


def test_logs_are_a_line_of_json_for_each_request(process):
    client = Client(f"grpc://127.0.0.1:{process.grpc_port}", "net")
    client.probabilities([served.image()])
    served.until(lambda: any('"method": "Predict"' in line for line in process.lines))
    line = next(line for line in process.lines if '"method": "Predict"' in line)
    assert set(json.loads(line)) >= {"api", "method", "model", "code", "ms"}


def test_connections_that_say_nothing_or_nonsense(process):
    for port in (process.grpc_port, process.rest_port):
        for data in (b"", b"\0" * 1000, b"GET / HTTP/1.1\r\n", os.urandom(1000)):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as s:
                s.sendall(data)
    client = Client(f"http://127.0.0.1:{process.rest_port}", "net")
    assert client.probabilities([served.image()]).shape == (1, 10)
