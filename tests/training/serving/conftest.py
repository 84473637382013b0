"""Servers that several tests ask."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import served

from training.export import model_base

EXTRA = ("tensorflow_serving", "grpc", "starlette", "uvicorn", "prometheus_client")
TF_SERVING = shutil.which("tensorflow_model_server")


@pytest.fixture(scope="session")
def serving_packages():
    """Skips the test where a package of the extra is missing."""
    for package in EXTRA:
        pytest.importorskip(package, reason=f"the extra `serving` is not installed: no {package}")


@pytest.fixture(scope="session")
def base(serving_packages, tmp_path_factory):
    """Version 1 is stable, version 2 the canary."""
    base = tmp_path_factory.mktemp("base")
    served.export_tiny(base, seed=0)
    served.export_tiny(base, seed=1)
    return base


@pytest.fixture(scope="session", params=["embedded", "tensorflow_model_server"])
def server(request, base):
    from launch import free_ports
    from running_server import Running

    config = base / model_base.LOCAL_CONFIG
    if request.param == "embedded":
        from training.serving.server.server import Server

        with Server(config, grpc_port=0, rest_port=0) as running:
            yield Running(running.grpc_port, running.rest_port, embedded=True)
        return
    if TF_SERVING is None:
        pytest.skip("tensorflow_model_server is not installed")
    ports = free_ports(2)
    process = subprocess.Popen(
        [
            TF_SERVING,
            f"--port={ports[0]}",
            f"--rest_api_port={ports[1]}",
            f"--model_config_file={config}",
            "--allow_version_labels_for_unavailable_models=true",
        ]
    )
    running = Running(*ports, embedded=False)
    try:
        served.until(running.answers)
        yield running
    finally:
        process.terminate()
        process.wait(30)
