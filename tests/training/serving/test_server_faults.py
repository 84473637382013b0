# ruff: noqa: E402  the packages are an extra
"""A server that is fuzzed, killed, given new and broken versions, and stopped: nobody notices."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import threading
import time

import numpy as np
import pytest
import served

for package in ("tensorflow_serving", "grpc", "starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(package, reason=f"the extra `serving` is not installed: no {package}")

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from training.export import model_base
from training.serving.client import Client, RequestError
from training.serving.server.server import Server


def fresh(base, seed=0):
    served.export_tiny(base, seed=seed)
    return base / model_base.LOCAL_CONFIG


class Load:
    """Callers that ask without pause; every answer and every error is kept."""

    def __init__(self, address, callers=4, **options):
        self.answers, self.errors = [], []
        self._stop = threading.Event()
        self._image = [served.image()]
        self._threads = [
            threading.Thread(target=self._ask, args=(Client(address, "net", **options),))
            for _ in range(callers)
        ]

    def _ask(self, client):
        while not self._stop.is_set():
            try:
                self.answers.append(client.probabilities(self._image)[0])
            except RequestError as error:
                self.errors.append(error)
        client.close()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, count=20):
        """Waits until so many more answers have come."""
        start = len(self.answers)
        served.until(lambda: len(self.answers) >= start + count)


def test_a_new_version_under_load_loses_no_request(tmp_path):
    config = fresh(tmp_path)
    with Server(config, grpc_port=0, rest_port=0, poll_seconds=0.1) as server:
        grpc_, http_ = (
            f"grpc://127.0.0.1:{server.grpc_port}",
            f"http://127.0.0.1:{server.rest_port}",
        )
        with Load(http_, 2, seconds=60) as newest, Load(grpc_, 2, label="stable") as stable:
            newest.more()
            old = newest.answers[-1]
            served.export_tiny(tmp_path, seed=1)  # the canary
            served.until(lambda: not np.allclose(newest.answers[-1], old))
            new = newest.answers[-1]
            stable.more()
            np.testing.assert_allclose(stable.answers[-1], old, atol=1e-5)
            model_base.promote(tmp_path, "net")
            served.until(lambda: np.allclose(stable.answers[-1], new, atol=1e-5))
            model_base.rollback(tmp_path, "net")
            served.until(lambda: np.allclose(stable.answers[-1], old, atol=1e-5))
        assert newest.errors == stable.errors == []
        for answer in newest.answers + stable.answers:  # of one version or the other, never mixed
            assert np.allclose(answer, old, atol=1e-5) or np.allclose(answer, new, atol=1e-5)


def test_a_broken_version_leaves_the_old_one_serving(tmp_path):
    config = fresh(tmp_path)
    with Server(config, grpc_port=0, rest_port=0, poll_seconds=0.1) as server:
        client = Client(f"grpc://127.0.0.1:{server.grpc_port}", "net", label="stable")
        before = client.probabilities([served.image()])
        (tmp_path / "net" / "2").mkdir()
        (tmp_path / "net" / "2" / "saved_model.pb").write_bytes(b"no model")
        model_base.refresh(tmp_path)
        served.until(lambda: len(server.models.states("net")) == 2)
        (two, state, error), _ = server.models.states("net")
        assert (two, state) == (2, "END")
        assert error
        np.testing.assert_array_equal(client.probabilities([served.image()]), before)
        config.write_text("model_config_list { nonsense")
        time.sleep(0.5)
        np.testing.assert_array_equal(client.probabilities([served.image()]), before)


def test_versions_that_are_no_longer_wanted_leave_memory(tmp_path):
    config = fresh(tmp_path)
    for seed in (1, 2):
        served.export_tiny(tmp_path, seed=seed)
        model_base.promote(tmp_path, "net")
    with Server(config, grpc_port=0, rest_port=0, poll_seconds=0.1) as server:
        numbers = [number for number, *_ in server.models.states("net")]
        assert numbers == [3, 2]  # stable and the one before
        model_base.promote(tmp_path, "net", 1)
        served.until(lambda: [n for n, *_ in server.models.states("net")] == [3, 1])


def test_stopping_answers_what_has_arrived(tmp_path):
    config = fresh(tmp_path)
    from training.serving.server.configuration import Batching

    slow = Batching(max_batch_size=64, batch_timeout_micros=1_000_000, num_batch_threads=1)
    server = Server(config, grpc_port=0, rest_port=0, batching=slow)
    server.start()
    answers = []

    def ask(address):
        answers.append(Client(address, "net", seconds=20).probabilities([served.image()]))

    addresses = (f"grpc://127.0.0.1:{server.grpc_port}", f"http://127.0.0.1:{server.rest_port}")
    threads = [threading.Thread(target=ask, args=(address,)) for address in addresses]
    for thread in threads:
        thread.start()
    time.sleep(0.4)  # they wait for a batch, for a second
    server.stop()
    for thread in threads:
        thread.join()
    assert len(answers) == 2


def free_ports():
    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b:
        return a.getsockname()[1], b.getsockname()[1]


@pytest.mark.slow
def test_killed_under_load_and_started_again(tmp_path):
    """Callers with a deadline that outlasts the restart see nothing of it."""
    fresh(tmp_path)
    ports = free_ports()
    first = served.Process(tmp_path, *ports)
    with Load(f"grpc://127.0.0.1:{ports[0]}", callers=2, seconds=120) as load:
        load.more()
        assert first.kill() < 0
        second = served.Process(tmp_path, *ports)
        load.more()
    assert load.errors == []
    assert second.stop() == 0  # SIGTERM
    assert any("stopping" in line for line in second.lines)


# Fuzzing


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


# What malformed requests may be answered. INTERNAL is what gRPC itself says of bytes that are no
# message at all, before the server sees them.
ALLOWED = {
    *(200, 400, 404, 413),
    *("OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "INTERNAL"),
}


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    base = tmp_path_factory.mktemp("fuzzed")
    fresh(base)
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


@pytest.mark.slow
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
