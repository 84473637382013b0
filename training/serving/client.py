"""A client of TF Serving or of the embedded server; it sends image files as they are."""

from __future__ import annotations

import base64
import http.client
import json
import random
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

if TYPE_CHECKING:
    from training.evaluation.prediction import Classes

Outputs = dict[str, np.ndarray]
T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds between attempts, doubling
CONNECT_SECONDS = 3.0  # until a server that does not answer is given up
REQUESTS = 8  # at a time, by `ServerClassifier`
MESSAGE_BYTES = 64 * 1024**2


class RequestError(OSError):
    """A request that the server refused or did not answer in time; `code` is gRPC's code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


HTTP_CODES = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    412: "FAILED_PRECONDITION",
    413: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


@dataclass(frozen=True)
class Classification:
    """One class of one image."""

    label: str
    number: int
    probability: float


class Client:
    """Asks one model of one server.

    Args:
        server: `grpc://host:port` or `http://host:port`.
        model: The served model's name.
        version: The version to ask. Default: the newest that is served.
        label: A label instead of a version, such as `stable`.
        seconds: The time that a request may take, with all its attempts.

    Raises:
        ValueError: If `server` is no such address, or both a version and a label are given.
    """

    def __init__(
        self,
        server: str,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        seconds: float = 30.0,
    ) -> None:
        address = urllib.parse.urlsplit(server)
        self._host, self._port = address.hostname or "", _port(address)
        if not self._host or not self._port or address.path.strip("/"):
            raise ValueError(f"A server is grpc://host:port or http://host:port; given {server!r}.")
        if version is not None and label is not None:
            raise ValueError("Give a version or a label, not both.")
        self._model, self._version, self._label = model, version, label
        self._seconds = seconds
        self._url = f"http://{address.netloc}"
        self._stub: Any = None
        if address.scheme == "grpc":
            self._channel = grpc.insecure_channel(
                address.netloc,
                options=[
                    ("grpc.max_receive_message_length", MESSAGE_BYTES),
                    ("grpc.max_send_message_length", MESSAGE_BYTES),
                    ("grpc.max_reconnect_backoff_ms", int(1000 * LONGEST_PAUSE)),
                ],
            )
            self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def connect(self, seconds: float = CONNECT_SECONDS) -> None:
        """Checks that the server's port can be reached.

        Raises:
            RequestError: If nothing answers there within `seconds`.
        """
        try:
            socket.create_connection((self._host, self._port), seconds).close()
        except OSError as error:
            raise RequestError(
                "UNAVAILABLE",
                f"no server answers at {self._host}:{self._port} ({error}). Start one: "
                "python -m training serve",
            ) from None

    def classify(self, images: Sequence[bytes]) -> list[list[Classification]]:
        """Image files' bytes -> the best classes of each image, best first.

        Raises:
            RequestError: If the server refuses, or does not answer in time.
        """
        outputs = self.predict({"image_bytes": np.array(images, dtype=object)}, "classify")
        columns = (outputs[name] for name in ("labels", "classes", "probabilities"))
        return [
            [
                Classification(label.decode(), int(number), float(probability))
                for label, number, probability in zip(*rows, strict=True)
            ]
            for rows in zip(*columns, strict=True)
        ]

    def probabilities(self, images: Sequence[bytes]) -> np.ndarray:
        """Image files' bytes -> (N, classes) float32."""
        inputs = {"image_bytes": np.array(images, dtype=object)}
        return self.predict(inputs, "serve_bytes")["probabilities"]

    def embeddings(self, images: Sequence[bytes]) -> np.ndarray:
        """Image files' bytes -> pooled features (N, D) float32."""
        inputs = {"image_bytes": np.array(images, dtype=object)}
        return self.predict(inputs, "features")["embedding"]

    def predict(self, inputs: Outputs, signature: str = "serving_default") -> Outputs:
        """Calls any signature: {input: array} -> {output: array}.

        A server that cannot be reached or is full is asked again until the time is over.

        Raises:
            RequestError: If the server refuses, or does not answer in time.
        """
        attempt = self._predict_rest if self._stub is None else self._predict_grpc
        return _retried(lambda left: attempt(inputs, signature, left), self._seconds)

    def close(self) -> None:
        if self._stub is not None:
            self._channel.close()

    def _predict_grpc(self, inputs: Outputs, signature: str, seconds: float) -> Outputs:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model
        request.model_spec.signature_name = signature
        if self._version is not None:
            request.model_spec.version.value = self._version
        elif self._label is not None:
            request.model_spec.version_label = self._label
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        try:
            response = self._stub.Predict(request, timeout=seconds)
        except grpc.RpcError as error:
            code, message = error.code().name, error.details() or ""
            # A gRPC server in Python that is full gives the code of a request that is too large.
            full = "Concurrent RPC limit" in message
            raise RequestError("UNAVAILABLE" if full else code, message) from None
        return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}

    def _predict_rest(self, inputs: Outputs, signature: str, seconds: float) -> Outputs:
        columns = {name: _jsonable(value) for name, value in inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": columns}).encode()
        place = ""
        if self._version is not None:
            place = f"/versions/{self._version}"
        elif self._label is not None:
            place = f"/labels/{urllib.parse.quote(self._label, safe='')}"
        name = urllib.parse.quote(self._model, safe="")
        request = urllib.request.Request(
            f"{self._url}/v1/models/{name}{place}:predict",
            body,
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=seconds) as response:
                outputs = json.load(response)["outputs"]
        except urllib.error.HTTPError as error:
            raise RequestError(HTTP_CODES.get(error.code, "UNKNOWN"), _message(error)) from None
        except TimeoutError:
            raise RequestError("DEADLINE_EXCEEDED", "no answer in time") from None
        except (OSError, http.client.IncompleteRead) as error:  # no connection, or cut off
            raise RequestError("UNAVAILABLE", str(error)) from None
        except (http.client.HTTPException, ValueError, KeyError, TypeError):
            raise RequestError(
                "UNKNOWN",
                f"{self._url} does not answer as TF Serving's REST interface does. Is it the port "
                "of gRPC? Then give grpc://host:port.",
            ) from None
        if not isinstance(outputs, dict):  # TF Serving leaves out the name of an only output
            only = {"features": "embedding"}.get(signature, "probabilities")
            outputs = {only: outputs}
        return {name: _array(value) for name, value in outputs.items()}


class ServerClassifier:
    """A served model, which decodes the files itself, as a classifier of `training.evaluation`.

    Args:
        client: Asks the server.
        top: Classes that are named for each image; the export may name fewer.
    """

    def __init__(self, client: Client, top: int) -> None:
        self._client, self._top = client, top

    def prepare(self, encoded: bytes) -> bytes:
        return encoded

    def classify(self, prepared: Sequence[bytes]) -> list[Classes | ValueError]:
        """Sends a request for each image, several at a time; the server batches them.

        Raises:
            RequestError: If the server fails for another reason than the image.
        """
        with ThreadPoolExecutor(REQUESTS) as pool:
            return list(pool.map(self._one, prepared))

    def _one(self, encoded: bytes) -> Classes | ValueError:
        try:
            (found,) = self._client.classify([encoded])
        except RequestError as error:
            # The second code: the image is larger than a request may be.
            if error.code not in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"):
                raise
            return ValueError(error.message)
        return tuple((one.label, one.probability) for one in found[: self._top])


def _port(address: urllib.parse.SplitResult) -> int | None:
    """The port of a server's address; None if it has none, or is of another scheme."""
    try:
        default = {"grpc": None, "http": 80}[address.scheme]
        return address.port or default
    except (KeyError, ValueError):  # ValueError: no number, or above 65535
        return None


def _retried(attempt: Callable[[float], T], seconds: float) -> T:
    """Repeats an attempt that is UNAVAILABLE, after random pauses that double, for `seconds`."""
    end = time.monotonic() + seconds
    pause = FIRST_PAUSE
    while True:
        try:
            return attempt(max(0.001, end - time.monotonic()))
        except RequestError as error:
            wait = pause * random.uniform(0.5, 1.5)
            if error.code != "UNAVAILABLE" or time.monotonic() + wait >= end:
                raise
            time.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)


def _jsonable(value: np.ndarray) -> Any:
    if value.dtype == object:
        return [{"b64": base64.b64encode(item).decode()} for item in value]
    return value.tolist()


def _array(value: Any) -> np.ndarray:
    array = np.array(value)
    if array.dtype.kind == "U":
        return np.array([text.encode() for text in array.ravel()], object).reshape(array.shape)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        return error.reason
