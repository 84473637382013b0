"""The compose file and the Kubernetes manifest start TF Serving alike, on files that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from training.common import environment
from training.export import model_base

yaml = pytest.importorskip("yaml", reason="needs PyYAML")

BASE = Path(__file__).parents[3] / "savedmodels"


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((BASE / "compose.yaml").read_text())["services"]["tensorflow-serving"]


@pytest.fixture(scope="module")
def deployment():
    documents = yaml.safe_load_all((BASE / "kubernetes.yaml").read_text())
    return next(document for document in documents if document["kind"] == "Deployment")


def test_both_start_the_same_server(compose, deployment):
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == compose["image"]
    assert container["args"] == compose["command"]
    assert container["command"] == compose["entrypoint"]
    assert {row["name"]: row["value"] for row in container["env"]} == compose["environment"]
    assert environment.SERVING.items() <= compose["environment"].items()


def test_the_files_that_it_reads_are_written_or_there(compose):
    named = re.findall(rf"={model_base.IN_CONTAINER}/(\S+)", " ".join(compose["command"]))
    written = {model_base.CONFIG, model_base.BATCHING}
    assert set(named) - written == {"monitoring.config"}
    assert (BASE / "monitoring.config").is_file()
    assert any(volume.split(":")[1] == model_base.IN_CONTAINER for volume in compose["volumes"])


def test_compose_listens_on_this_machine_only(compose):
    assert all(port.startswith("127.0.0.1:") for port in compose["ports"])


def test_probes_ask_for_what_the_server_has(deployment):
    template = deployment["spec"]["template"]
    (container,) = template["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "readinessProbe"):
        get = container[probe]["httpGet"]
        assert get["port"] in ports
        assert re.fullmatch(r"/v1/models/NAME/labels/stable/metadata", get["path"])
    assert container["livenessProbe"]["tcpSocket"]["port"] in ports
    assert template["metadata"]["labels"] == deployment["spec"]["selector"]["matchLabels"]
    names = {volume["name"] for volume in template["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} <= names
