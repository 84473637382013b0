"""Errors of requests: gRPC's codes, and the HTTP status that TF Serving gives each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from grpc import StatusCode

HTTP_STATUS: Mapping[StatusCode, int] = MappingProxyType(
    {
        StatusCode.INVALID_ARGUMENT: 400,
        StatusCode.NOT_FOUND: 404,
        StatusCode.UNIMPLEMENTED: 501,
        StatusCode.DEADLINE_EXCEEDED: 504,
        StatusCode.RESOURCE_EXHAUSTED: 413,  # a request beyond the limits
        StatusCode.UNAVAILABLE: 503,  # full or stopping: try again
        StatusCode.INTERNAL: 500,
    }
)


class ServingError(Exception):
    """An error that the caller is told, with a code of gRPC and a message."""

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> ServingError:
    return ServingError(StatusCode.INVALID_ARGUMENT, message)
