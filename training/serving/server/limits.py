"""The limits of one request, and of all requests together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from grpc import StatusCode

from training.serving.server.errors import ServingError


@dataclass(frozen=True)
class Limits:
    """Limits that the server checks; the exported graph checks encoded images itself."""

    request_bytes: int = 32 * 1024**2
    batch: int = 64  # images in one request
    pixels: int = 2**25  # of all images in a request of raw pixels
    concurrent: int = 64  # requests answered at the same time
    seconds: float = 30.0  # until an answer, where the caller sets no deadline

    def check(self, shape: Sequence[int]) -> None:
        """Checks an input's shape: (N,) of image files, (N, H, W, C) of pixels.

        Raises:
            ServingError: RESOURCE_EXHAUSTED if it is more than allowed.
        """
        if shape[0] > self.batch:
            raise self.exceeded(f"{shape[0]} images; at most {self.batch} go in one request")
        pixels = math.prod(shape[:-1])
        if len(shape) == 4 and pixels > self.pixels:
            raise self.exceeded(f"{pixels} pixels; at most {self.pixels} go in one request")

    @staticmethod
    def exceeded(message: str) -> ServingError:
        return ServingError(StatusCode.RESOURCE_EXHAUSTED, f"Too large a request: {message}.")
