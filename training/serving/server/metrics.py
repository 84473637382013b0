"""Counters and times for Prometheus. Each server has its own registry."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64)

logger = logging.getLogger("training.serving.access")


class Metrics:
    """Counts and times requests, and writes a line of JSON for each."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "serving_requests",
            "Requests answered",
            ("api", "method", "model", "code"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "serving_request_seconds",
            "From a request to its answer",
            ("api", "method"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.batch_size = Histogram(
            "serving_batch_images",
            "Images computed together",
            ("model",),
            buckets=SIZES,
            registry=self.registry,
        )
        self.queued = Gauge(
            "serving_queued_images", "Images waiting for a batch", registry=self.registry
        )
        self.loaded = Gauge(
            "serving_loaded_versions", "Versions in memory", ("model",), registry=self.registry
        )

    def answered(
        self, api: str, method: str, model: str | None, code: str, started: float, message: str = ""
    ) -> None:
        """Records one answered request.

        Args:
            api: `rest` or `grpc`.
            method: Such as `predict`.
            model: The served model; None of any other name, since each name is a time series.
            code: The status that was answered.
            started: `time.monotonic()` when the request arrived.
            message: What was wrong with the request.
        """
        seconds = time.monotonic() - started
        self._requests.labels(api, method, model or "unknown", code).inc()
        self._seconds.labels(api, method).observe(seconds)
        line: dict[str, Any] = {"api": api, "method": method, "model": model, "code": code}
        line["ms"] = round(1000 * seconds, 1)
        if message:
            line["message"] = message[:300]
        logger.info(json.dumps(line))

    def text(self) -> bytes:
        """Returns all metrics in Prometheus's text format."""
        return generate_latest(self.registry)
