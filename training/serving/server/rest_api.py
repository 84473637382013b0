"""TF Serving's REST paths, on starlette."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from typing import Any

import anyio
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from grpc import StatusCode
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tensorflow_serving.apis import get_model_metadata_pb2

from training.serving.server import page, prediction, rest_json
from training.serving.server.batching import Batcher, Direct
from training.serving.server.errors import HTTP_STATUS, ServingError, invalid
from training.serving.server.limits import Limits
from training.serving.server.metrics import Metrics
from training.serving.server.models import Models, Version

PATH = re.compile(
    r"(?P<name>[^/:]+)(/versions/(?P<version>[0-9]{1,18})|/labels/(?P<label>[^/:]+))?"
    r"(?P<what>/metadata|:predict|:classify)?"
)
BODY_SECONDS = 30.0  # for a request's body to arrive


class Api:
    """TF Serving's REST interface; `app` is the application that uvicorn runs."""

    def __init__(
        self, models: Models, runner: Batcher | Direct, limits: Limits, metrics: Metrics
    ) -> None:
        self._models = models
        self._runner = runner
        self._limits = limits
        self._metrics = metrics
        self.app = Starlette(
            routes=[
                *page.routes(models),
                Route("/v1/models/{path:path}", self._model, methods=["GET", "POST"]),
                Route("/monitoring/prometheus/metrics", self._prometheus),
                Route("/health/live", self._live),
                Route("/health/ready", self._ready),
            ]
        )

    async def _prometheus(self, request: Request) -> Response:
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _live(self, request: Request) -> Response:
        return Response("alive\n")

    async def _ready(self, request: Request) -> Response:
        ready = self._models.ready()
        return Response("ready\n" if ready else "loading\n", 200 if ready else 503)

    async def _model(self, request: Request) -> Response:
        started = time.monotonic()
        found = PATH.fullmatch(request.path_params["path"])
        name, method, message = None, "unknown", ""
        response: Response
        try:
            if found is None:
                raise ServingError(
                    StatusCode.NOT_FOUND, f"Malformed request: {request.method} {request.url.path}"
                )
            name = found["name"] if self._models.known(found["name"]) else None
            what = found["what"] or "/status"
            method = what[1:]
            answer = self._answer(found, what)
            posted = what.startswith(":")
            if posted != (request.method == "POST"):
                response = JSONResponse(
                    {"error": f"{method} takes {'POST' if posted else 'GET'}"}, 405
                )
            else:
                body = await self._body(request)
                text = await run_in_threadpool(answer, body)
                response = Response(text, media_type="application/json")
        except ServingError as error:
            message = error.message
            response = JSONResponse({"error": error.message}, HTTP_STATUS[error.code])
        except ClientDisconnect:
            response = JSONResponse({"error": "the caller has gone"}, 499)
        except Exception as error:  # a fault in one request must not end the server
            message = f"{type(error).__name__} in the server"
            response = JSONResponse({"error": message}, 500)
        self._metrics.answered("rest", method, name, str(response.status_code), started, message)
        return response

    async def _body(self, request: Request) -> bytes:
        """Reads the request's body.

        Raises:
            ServingError: If it is longer than allowed, or takes too long to arrive.
        """
        limit = self._limits.request_bytes
        body = bytearray()

        async def receive() -> None:
            length = 0
            async for part in request.stream():  # to its end: else the caller cannot read a refusal
                length += len(part)
                if length <= limit:
                    body.extend(part)
            if length > limit:
                raise self._limits.exceeded(f"{length} bytes; at most {limit} go in one request")

        try:
            await asyncio.wait_for(receive(), BODY_SECONDS)
        except TimeoutError:
            late = f"The request took over {BODY_SECONDS:.0f} s to arrive"
            raise ServingError(StatusCode.DEADLINE_EXCEEDED, late) from None
        return bytes(body)

    def _answer(self, found: re.Match[str], what: str) -> Callable[[bytes], str]:
        """Returns the function that answers a body with JSON; it runs in a thread."""
        number = int(found["version"]) if found["version"] else None

        def version() -> Version:
            return self._models.find(found["name"], number, found["label"])

        chosen = number is not None or found["label"] is not None
        return {
            "/status": lambda body: self._status(found["name"], version if chosen else None),
            "/metadata": lambda body: self._metadata(version()),
            ":predict": lambda body: self._predict(version(), body),
            ":classify": lambda body: self._classify(version(), body),
        }[what]

    def _status(self, name: str, version: Callable[[], Version] | None) -> str:
        asked = None if version is None else version().number
        return json.dumps(
            {
                "model_version_status": [
                    {
                        "version": str(number),
                        "state": state,
                        "status": {
                            "error_code": "UNKNOWN" if error else "OK",
                            "error_message": error,
                        },
                    }
                    for number, state, error in self._models.states(name)
                    if asked in (None, number)
                ]
            }
        )

    def _metadata(self, version: Version) -> str:
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in version.definitions.items():
            signatures.signature_def[name].CopyFrom(definition)
        spec = {"name": version.name, "signature_name": "", "version": str(version.number)}
        described = json_format.MessageToDict(
            signatures, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return json.dumps({"model_spec": spec, "metadata": {"signature_def": described}})

    def _predict(self, version: Version, body: bytes) -> str:
        request = rest_json.parse(body)
        signature = rest_json.signature_name(request, prediction.DEFAULT_SIGNATURE)
        inputs = rest_json.inputs(request, prediction.definition(version, signature))
        outputs = prediction.predict(
            version, signature, inputs, self._runner, self._limits, self._deadline()
        )
        return json.dumps(rest_json.predictions(outputs, by_row="instances" in request))

    def _classify(self, version: Version, body: bytes) -> str:
        request = rest_json.parse(body)
        signature = rest_json.signature_name(request, prediction.DEFAULT_SIGNATURE)
        rows = request.get("examples")
        if not isinstance(rows, list) or not rows or not all(isinstance(r, dict) for r in rows):
            raise invalid("'examples' is a list of at least one object of features")
        examples = [_example(row).SerializeToString() for row in rows]
        results = prediction.classify(
            version, signature, examples, self._runner, self._limits, self._deadline()
        )
        return json.dumps({"results": results})

    def _deadline(self) -> float:
        return time.monotonic() + self._limits.seconds


def _example(row: dict[str, Any]) -> tf.train.Example:
    example = tf.train.Example()
    for name, value in row.items():
        array = rest_json.inputs({"inputs": [value]}, {name: (np.dtype(object), [-1])})[name]
        if array.ndim != 1:
            raise invalid(f"{name} is one string of an example")
        example.features.feature[name].bytes_list.value.extend(array)
    return example


def limit_threads(count: int) -> None:
    """Sets how many requests the event loop's thread pool works on; called in the loop."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = count
