# ruff: noqa: E402  the packages are an extra
"""The client of a server that is full, breaks off, or does not speak TF Serving's protocol."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.server
import threading
import time

import numpy as np
import pytest

for package in ("tensorflow_serving", "grpc", "starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(package, reason=f"the extra `serving` is not installed: no {package}")

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from training.serving.client import Client, RequestError, ServerClassifier
from training.serving.server.limits import Limits
from training.serving.server.server import Server

INPUTS = {"pixels": np.zeros((1, 1), "f4")}
ANSWER = b'{"outputs": {"probabilities": [[1.0]]}}'


@contextlib.contextmanager
def http_server(*bodies):
    """Yields the address of a server that answers with each body in turn, then with the last.

    It announces the length of `ANSWER` each time, so that a shorter body is one that broke off.
    """
    left = list(bodies)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(left.pop(0) if len(left) > 1 else left[0])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_answer_that_broke_off_is_asked_for_again():
    with http_server(ANSWER[:20], b"", ANSWER) as address:
        found = Client(address, "net", seconds=20).predict(INPUTS)
    np.testing.assert_array_equal(found["probabilities"], [[1.0]])


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b'{"other": 1}', b"[]"])
def test_a_server_of_another_kind_is_named_at_once(body):
    started = time.monotonic()
    message = "does not answer as TF Serving"
    with (
        http_server(body.ljust(len(ANSWER))) as address,
        pytest.raises(RequestError, match=message),
    ):
        Client(address, "net").predict(INPUTS)
    assert time.monotonic() - started < 10


def test_rest_to_the_port_of_grpc_says_so():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with pytest.raises(RequestError, match="grpc://host:port"):
        Client(f"http://127.0.0.1:{port}", "net").predict(INPUTS)
    server.stop(0).wait()


def test_a_full_grpc_server_is_asked_again():
    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            time.sleep(0.3)
            response = predict_pb2.PredictResponse()
            response.outputs["probabilities"].CopyFrom(tf.make_tensor_proto([[1.0]]))
            return response

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1), maximum_concurrent_rpcs=1)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    client = Client(f"grpc://127.0.0.1:{port}", "net", seconds=60)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: client.predict(INPUTS), range(4)))
    assert len(found) == 4
    client.close()
    server.stop(0).wait()


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A server without models, for requests of up to 1,000 bytes."""
    config = tmp_path_factory.mktemp("base") / "models.config"
    config.write_text("model_config_list {}")
    limits = Limits(request_bytes=1000)
    with Server(config, grpc_port=0, rest_port=0, limits=limits) as server:
        yield server


@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_a_file_that_is_too_large_fails_alone(kind, empty):
    port = empty.grpc_port if kind == "grpc" else empty.rest_port
    client = Client(f"{kind}://127.0.0.1:{port}", "net", seconds=20)
    (found,) = ServerClassifier(client, top=1).classify([bytes(20_000_000)])
    assert isinstance(found, ValueError)
    assert "larger" in str(found) or "Too large" in str(found)
    client.close()


def test_a_port_that_is_taken_is_named_with_its_option(empty, tmp_path):
    for ports, option in (
        ({"grpc_port": empty.grpc_port, "rest_port": 0}, "--grpc-port"),
        ({"grpc_port": 0, "rest_port": empty.rest_port}, "--rest-port"),
    ):
        with pytest.raises(OSError, match=option):
            Server(tmp_path / "models.config", **ports)


@pytest.mark.parametrize(
    "address",
    [
        *("localhost:8500", "grpc://", "grpc://127.0.0.1", "grpc://127.0.0.1:x", "http://:80"),
        *("https://a:443", "http://a:1/path"),
    ],
)
def test_what_is_no_servers_address(address):
    with pytest.raises(ValueError, match="grpc://host:port"):
        Client(address, "net")
