# ruff: noqa: E402  the packages are an extra
"""Refused requests and their messages; the server answers the next request."""

from __future__ import annotations

import numpy as np
import pytest
import served

for package in ("tensorflow_serving", "grpc"):
    pytest.importorskip(package, reason=f"the extra `serving` is not installed: no {package}")

from training.serving.client import Client, RequestError
from training.serving.server import rest_json
from training.serving.server.errors import ServingError


def png_of(width, height):
    png = served.image()
    return png[:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + png[24:]


@pytest.mark.parametrize("kind", ["grpc", "http"])
@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "the image is empty"),
        (b"no image at all", "the image is not JPEG"),
        (served.image()[:60], "."),
        (served.image(kind="JPEG")[:300], "."),
        (served.image(kind="GIF")[:60], "."),
        (png_of(50_000, 50_000), "larger than"),
        (png_of(0, 10), "the image is damaged"),
    ],
    ids=["empty", "text", "cut png", "cut jpeg", "cut gif", "bomb", "no width"],
)
def test_broken_images(server, kind, image, reason):
    with pytest.raises(RequestError, match=reason) as caught:
        server.client(kind).probabilities([image])
    assert caught.value.code == "INVALID_ARGUMENT"
    server.client(kind).probabilities([served.image()])  # the server still answers


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


@pytest.mark.parametrize("number", ["1e39", "1e999", "-1e999"])
def test_numbers_beyond_float32(number):
    request = rest_json.parse(b'{"instances": [%s]}' % number.encode())
    with pytest.raises(ServingError, match="too large"):
        rest_json.inputs(request, {"pixels": (np.dtype("f4"), [-1])})
