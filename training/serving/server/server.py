"""The embedded server: gRPC and REST on one set of models, from start to a graceful stop."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import uvicorn
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from training.serving.server.batching import Batcher, Direct
from training.serving.server.configuration import Batching
from training.serving.server.grpc_api import Services
from training.serving.server.limits import Limits
from training.serving.server.metrics import Metrics
from training.serving.server.models import Models
from training.serving.server.rest_api import Api, limit_threads

logger = logging.getLogger("training.serving")


class Server:
    """Serves a `models.config`.

    Args:
        config: The configuration file.
        host: The address to listen on. Other machines do not reach the default.
        grpc_port: The port for gRPC. 0 takes a free one; the attribute `grpc_port` says which.
        rest_port: The port for REST and the page. 0 takes a free one; `rest_port` says which.
        batching: How requests are put together; None computes each by itself.
        limits: The largest requests that are answered.
        poll_seconds: The time between two checks of the configuration file and the disk.
        runtime: What computes the versions that have a file for it, one of `export --formats`;
            None: TensorFlow.

    Raises:
        OSError: If it cannot listen on the address or a port.
    """

    def __init__(
        self,
        config: Path,
        *,
        host: str = "127.0.0.1",
        grpc_port: int = 8500,
        rest_port: int = 8501,
        batching: Batching | None = Batching(),  # noqa: B008  frozen
        limits: Limits = Limits(),  # noqa: B008
        poll_seconds: float = 1.0,
        runtime: str | None = None,
    ) -> None:
        self.metrics = Metrics()
        self.models = Models(config, self.metrics, runtime)
        self._host, self._poll_seconds = f"[{host}]" if ":" in host else host, poll_seconds
        self._socket = _listening(host, rest_port)
        self.rest_port = self._socket.getsockname()[1]

        self._grpc = _grpc_server(limits)
        try:
            self.grpc_port = self._grpc.add_insecure_port(f"{self._host}:{grpc_port}")
        except RuntimeError as error:  # gRPC writes the reason to the standard error
            self._socket.close()
            raise OSError(
                f"gRPC cannot listen on {host}, port {grpc_port}. If another program uses the "
                "port, give another --grpc-port."
            ) from error

        self._runner = Direct() if batching is None else Batcher(batching, self.metrics)
        services = Services(self.models, self._runner, limits, self.metrics)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(services, self._grpc)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(services, self._grpc)
        api = Api(self.models, self._runner, limits, self.metrics)

        @contextlib.asynccontextmanager
        async def lifespan(app: object) -> AsyncIterator[None]:
            limit_threads(limits.concurrent)
            yield

        api.app.router.lifespan_context = lifespan
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                api.app,
                log_level="warning",
                access_log=False,
                limit_concurrency=4 * limits.concurrent,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=int(limits.seconds),
            )
        )
        self._rest = threading.Thread(
            target=self._uvicorn.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    def start(self) -> None:
        """Loads the models, then accepts requests."""
        self.models.start(self._poll_seconds)
        self._grpc.start()
        self._rest.start()
        while not self._uvicorn.started and self._rest.is_alive():
            threading.Event().wait(0.01)
        logger.info("gRPC on port %d, REST on port %d", self.grpc_port, self.rest_port)
        logger.info("try it in a browser: http://%s:%d/", self._host, self.rest_port)

    def stop(self, grace_seconds: float = 30.0) -> None:
        """Accepts no more requests, answers those that have arrived, then ends."""
        self._uvicorn.should_exit = True
        finished = self._grpc.stop(grace_seconds)
        finished.wait()
        self._rest.join()
        self.models.stop()
        self._runner.stop()

    def run_until_signal(self) -> None:
        """Serves until SIGTERM or SIGINT."""
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        self.start()
        stopping.wait()
        logger.info("stopping: answering what has arrived")
        self.stop()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _grpc_server(limits: Limits) -> grpc.Server:
    """Returns a gRPC server that answers nothing yet."""
    return grpc.server(
        concurrent.futures.ThreadPoolExecutor(limits.concurrent, "grpc"),
        # Further requests are answered RESOURCE_EXHAUSTED.
        maximum_concurrent_rpcs=4 * limits.concurrent,
        options=[
            ("grpc.max_receive_message_length", limits.request_bytes),
            ("grpc.so_reuseport", 0),  # a port in use is an error
        ],
    )


def _listening(host: str, port: int) -> socket.socket:
    """Opens a listening socket whose protocol is given as TCP.

    Otherwise asyncio leaves Nagle's algorithm on, which delays the end of every answer by 40 ms.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(512)
    except OSError as error:
        listening.close()
        raise OSError(
            f"REST cannot listen on {host}, port {port}: {error.strerror or error}. If another "
            "program uses the port, give another --rest-port."
        ) from error
    return listening
