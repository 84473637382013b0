"""The requests that docs/serving.md shows are answered as the client is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import served

for package in ("tensorflow_serving", "grpc"):
    pytest.importorskip(package, reason=f"the extra `serving` is not installed: no {package}")

PAGE = Path(__file__).parents[3] / "docs" / "serving.md"


@pytest.fixture
def shown(server, tmp_path, monkeypatch):
    """A code block of the page, asking the tests' server and model about a photograph."""
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(served.image(kind="JPEG"))

    def block(language):
        (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
        for written, here in (
            ("127.0.0.1:8501", f"127.0.0.1:{server.rest_port}"),
            ("127.0.0.1:8500", f"127.0.0.1:{server.grpc_port}"),
            ("models/cifar/", "models/net/"),
            ('"cifar"', '"net"'),
        ):
            code = code.replace(written, here)
        return code

    return block


def test_the_curl_request(server, shown):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    run = subprocess.run(["bash", "-ec", shown("bash")], capture_output=True, text=True, check=True)
    outputs = json.loads(run.stdout)["outputs"]
    (best,) = server.client(label="stable").classify([Path("photo.jpg").read_bytes()])
    assert outputs["labels"][0] == [one.label for one in best]


def test_the_grpc_client(server, shown, capsys):
    exec(compile(shown("python"), str(PAGE), "exec"), {})
    (best,) = server.client().classify([Path("photo.jpg").read_bytes()])
    assert re.findall(r"b'(\w+)'", capsys.readouterr().out) == [one.label for one in best]
