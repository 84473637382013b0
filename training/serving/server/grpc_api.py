"""TF Serving's gRPC services, on the official stubs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from training.serving.server import prediction
from training.serving.server.batching import Batcher, Direct
from training.serving.server.errors import ServingError, invalid
from training.serving.server.limits import Limits
from training.serving.server.metrics import Metrics
from training.serving.server.models import Models, Version


class Services(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    """Predict, Classify, GetModelMetadata and GetModelStatus; the others are UNIMPLEMENTED."""

    def __init__(
        self, models: Models, runner: Batcher | Direct, limits: Limits, metrics: Metrics
    ) -> None:
        self._models = models
        self._runner = runner
        self._limits = limits
        self._metrics = metrics

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer() -> Any:
            version = self._find(request.model_spec)
            signature = request.model_spec.signature_name or prediction.DEFAULT_SIGNATURE
            inputs = {name: self._array(name, value) for name, value in request.inputs.items()}
            outputs = prediction.predict(
                version, signature, inputs, self._runner, self._limits, self._deadline(context)
            )
            wanted = set(request.output_filter) or set(outputs)
            if wanted - set(outputs):
                raise invalid(f"output_filter names {sorted(wanted - set(outputs))}, no outputs")
            response = predict_pb2.PredictResponse()
            _describe(response.model_spec, version, signature)
            for name in wanted:
                response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
            return response

        return self._answered("Predict", request, context, answer)

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer() -> Any:
            version = self._find(request.model_spec)
            signature = request.model_spec.signature_name or prediction.DEFAULT_SIGNATURE
            kind = request.input.WhichOneof("kind")
            if kind != "example_list":
                raise invalid(f"Classify takes an example_list; given {kind}")
            examples = [e.SerializeToString() for e in request.input.example_list.examples]
            results = prediction.classify(
                version, signature, examples, self._runner, self._limits, self._deadline(context)
            )
            response = classification_pb2.ClassificationResponse()
            _describe(response.model_spec, version, signature)
            for result in results:
                classes = response.result.classifications.add().classes
                for label, score in result:
                    classes.add(label=label, score=score)
            return response

        return self._answered("Classify", request, context, answer)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer() -> Any:
            if list(request.metadata_field) != ["signature_def"]:
                raise invalid("metadata_field is ['signature_def']")
            version = self._find(request.model_spec)
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            _describe(response.model_spec, version)
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for name, definition in version.definitions.items():
                signatures.signature_def[name].CopyFrom(definition)
            response.metadata["signature_def"].Pack(signatures)
            return response

        return self._answered("GetModelMetadata", request, context, answer)

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer() -> Any:
            response = get_model_status_pb2.GetModelStatusResponse()
            spec = request.model_spec
            asked = None
            if spec.WhichOneof("version_choice"):
                asked = self._find(spec).number
            for number, state, error in self._models.states(spec.name):
                if asked in (None, number):
                    status = response.model_version_status.add(version=number)
                    status.state = get_model_status_pb2.ModelVersionStatus.State.Value(state)
                    if error:
                        status.status.error_code = grpc.StatusCode.UNKNOWN.value[0]
                        status.status.error_message = error
            return response

        return self._answered("GetModelStatus", request, context, answer)

    def _answered(
        self, method: str, request: Any, context: grpc.ServicerContext, answer: Callable[[], Any]
    ) -> Any:
        started = time.monotonic()
        name = request.model_spec.name if self._models.known(request.model_spec.name) else None
        code, message = grpc.StatusCode.OK, ""
        try:
            return answer()
        except ServingError as error:
            code, message = error.code, error.message
        except Exception as error:  # a fault in one request must not end the server
            code, message = grpc.StatusCode.INTERNAL, f"{type(error).__name__} in the server"
        finally:
            self._metrics.answered("grpc", method, name, code.name, started, message)
        context.abort(code, message)

    def _find(self, spec: Any) -> Version:
        number = spec.version.value if spec.HasField("version") else None
        return self._models.find(spec.name, number, spec.version_label or None)

    def _deadline(self, context: grpc.ServicerContext) -> float:
        left = context.time_remaining()
        return time.monotonic() + min(self._limits.seconds, math.inf if left is None else left)

    def _array(self, name: str, value: Any) -> np.ndarray:
        """A tensor as NumPy; its shape is checked first, since one value may stand for many."""
        shape = [dim.size for dim in value.tensor_shape.dim]
        if value.tensor_shape.unknown_rank or any(size < 0 for size in shape):
            raise invalid(f"{name} has an unknown or negative shape")
        if math.prod(shape) > self._limits.request_bytes:
            raise self._limits.exceeded(f"{name} has {math.prod(shape)} values")
        try:
            return np.asarray(tf.make_ndarray(value))
        except (TypeError, ValueError, KeyError) as error:
            raise invalid(f"{name} is no tensor of its type and shape: {error}") from error


def _describe(spec: Any, version: Version, signature: str = "") -> None:
    spec.name = version.name
    spec.version.value = version.number
    spec.signature_name = signature
