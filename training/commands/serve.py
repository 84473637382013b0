"""`python -m training serve`."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
from pathlib import Path

from training.commands import options as shared
from training.commands.export import FORMATS
from training.common import numeric
from training.common.errors import UsageError

BINARY = "tensorflow_model_server"

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_model_base(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address at which the embedded server listens; TF Serving listens on all",
    )
    parser.add_argument(
        "--grpc-port", type=numeric.port, default=8500, help="the port of gRPC; 0 takes a free one"
    )
    parser.add_argument(
        "--rest-port", type=numeric.port, default=8501, help="the port of REST; 0 takes a free one"
    )
    parser.add_argument(
        "--server",
        choices=("auto", "tensorflow", "embedded"),
        default="auto",
        help=f"tensorflow: start {BINARY}; embedded: start the server for development; auto: start "
        f"{BINARY} if it is installed",
    )
    parser.add_argument(
        "--runtime",
        choices=FORMATS,
        help="with the embedded server: compute in this runtime the versions that have a file for "
        "it; `export --formats` writes the files",
    )
    parser.add_argument("--no-batching", action="store_true", help="compute each request by itself")
    parser.add_argument(
        "--poll-seconds",
        type=numeric.amount,
        default=1.0,
        help="look for new versions after this many seconds",
    )


def run(options: argparse.Namespace) -> None:
    from training.export import model_base

    if not options.base.is_dir():
        raise FileNotFoundError(f"There is no model base {options.base}: export a model first.")
    if model_base.versions(options.base):
        raise UsageError(
            f"{options.base} holds the versions of one model: give --base {options.base.parent}."
        )
    model_base.refresh(options.base)
    if not model_base.labels(options.base):
        logger.warning("There are no exported models in %s yet.", options.base)
    config = options.base.resolve() / model_base.LOCAL_CONFIG
    parameters = options.base / model_base.BATCHING
    binary = shutil.which(BINARY)
    if options.server == "tensorflow" and options.runtime is not None:
        raise UsageError("--runtime is for the embedded server; TF Serving computes SavedModels.")
    if options.server == "tensorflow" and binary is None:
        raise FileNotFoundError(f"{BINARY} is not installed; --server embedded needs no other.")
    if options.runtime is not None:
        from training.export import other_runtimes

        other_runtimes.require([options.runtime])
    elif binary is not None and options.server != "embedded":
        _replace_by_tensorflow(binary, config, parameters, options)

    from training.serving.server import configuration
    from training.serving.server.server import Server

    logging.getLogger().setLevel(logging.INFO)
    batching = None
    if not options.no_batching:
        batching = (
            configuration.batching(parameters) if parameters.is_file() else configuration.Batching()
        )
    server = Server(
        config,
        host=options.host,
        grpc_port=options.grpc_port,
        rest_port=options.rest_port,
        batching=batching,
        poll_seconds=options.poll_seconds,
        runtime=options.runtime,
    )
    server.run_until_signal()


def _replace_by_tensorflow(
    binary: str, config: Path, parameters: Path, options: argparse.Namespace
) -> None:
    """Replaces this process by TF Serving, which then gets its signals directly."""
    logger.warning("%s listens on every address of this machine, whatever --host says.", BINARY)
    arguments = [
        binary,
        f"--port={options.grpc_port}",
        f"--rest_api_port={options.rest_port}",
        f"--model_config_file={config}",
        f"--model_config_file_poll_wait_seconds={max(1, round(options.poll_seconds))}",
        "--allow_version_labels_for_unavailable_models=true",
    ]
    if not options.no_batching and parameters.is_file():
        arguments += [
            "--enable_batching=true",
            f"--batching_parameters_file={parameters.resolve()}",
        ]
    os.execv(binary, arguments)
