# ruff: noqa: E402  the packages are an extra
"""No caller notices that a server is killed, stopped, or given new and broken versions."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import served

for package in ("tensorflow_serving", "grpc", "starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(package, reason=f"the extra `serving` is not installed: no {package}")

from launch import free_ports

from training.export import model_base
from training.serving.client import Client, RequestError
from training.serving.server.configuration import Batching
from training.serving.server.server import Server

pytestmark = pytest.mark.slow


def fresh(base, seed=0):
    served.export_tiny(base, seed=seed)
    return base / model_base.LOCAL_CONFIG


class Load:
    """Callers that ask without pause; every answer and every error is kept."""

    def __init__(self, address, callers=4, **options):
        self.answers, self.errors = [], []
        self._stop = threading.Event()
        self._image = [served.image()]
        self._threads = [
            threading.Thread(target=self._ask, args=(Client(address, "net", **options),))
            for _ in range(callers)
        ]

    def _ask(self, client):
        while not self._stop.is_set():
            try:
                self.answers.append(client.probabilities(self._image)[0])
            except RequestError as error:
                self.errors.append(error)
        client.close()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, count=20):
        """Waits until so many more answers have come."""
        start = len(self.answers)
        served.until(lambda: len(self.answers) >= start + count)


def test_a_new_version_under_load_loses_no_request(tmp_path):
    config = fresh(tmp_path)
    with Server(config, grpc_port=0, rest_port=0, poll_seconds=0.1) as server:
        grpc_, http_ = (
            f"grpc://127.0.0.1:{server.grpc_port}",
            f"http://127.0.0.1:{server.rest_port}",
        )
        with Load(http_, 2, seconds=60) as newest, Load(grpc_, 2, label="stable") as stable:
            newest.more()
            old = newest.answers[-1]
            served.export_tiny(tmp_path, seed=1)  # the canary
            served.until(lambda: not np.allclose(newest.answers[-1], old))
            new = newest.answers[-1]
            stable.more()
            np.testing.assert_allclose(stable.answers[-1], old, atol=1e-5)
            model_base.promote(tmp_path, "net")
            served.until(lambda: np.allclose(stable.answers[-1], new, atol=1e-5))
            model_base.rollback(tmp_path, "net")
            served.until(lambda: np.allclose(stable.answers[-1], old, atol=1e-5))
        assert newest.errors == stable.errors == []
        for answer in newest.answers + stable.answers:  # of one version or the other, never mixed
            assert np.allclose(answer, old, atol=1e-5) or np.allclose(answer, new, atol=1e-5)


def test_a_broken_version_leaves_the_old_one_serving(tmp_path):
    config = fresh(tmp_path)
    with Server(config, grpc_port=0, rest_port=0, poll_seconds=0.1) as server:
        client = Client(f"grpc://127.0.0.1:{server.grpc_port}", "net", label="stable")
        before = client.probabilities([served.image()])
        (tmp_path / "net" / "2").mkdir()
        (tmp_path / "net" / "2" / "saved_model.pb").write_bytes(b"no model")
        model_base.refresh(tmp_path)
        served.until(lambda: len(server.models.states("net")) == 2)
        (two, state, error), _ = server.models.states("net")
        assert (two, state) == (2, "END")
        assert error
        np.testing.assert_array_equal(client.probabilities([served.image()]), before)
        config.write_text("model_config_list { nonsense")
        time.sleep(0.5)
        np.testing.assert_array_equal(client.probabilities([served.image()]), before)


def test_versions_that_are_no_longer_wanted_leave_memory(tmp_path):
    config = fresh(tmp_path)
    for seed in (1, 0):
        served.export_tiny(tmp_path, seed=seed)
        model_base.promote(tmp_path, "net")
    with Server(config, grpc_port=0, rest_port=0, poll_seconds=0.1) as server:
        numbers = [number for number, *_ in server.models.states("net")]
        assert numbers == [3, 2]  # stable and the one before
        model_base.promote(tmp_path, "net", 1)
        served.until(lambda: [n for n, *_ in server.models.states("net")] == [3, 1])


def test_stopping_answers_what_has_arrived(tmp_path):
    config = fresh(tmp_path)
    slow = Batching(max_batch_size=64, batch_timeout_micros=1_000_000, num_batch_threads=1)
    server = Server(config, grpc_port=0, rest_port=0, batching=slow)
    server.start()
    answers = []

    def ask(address):
        answers.append(Client(address, "net", seconds=20).probabilities([served.image()]))

    addresses = (f"grpc://127.0.0.1:{server.grpc_port}", f"http://127.0.0.1:{server.rest_port}")
    threads = [threading.Thread(target=ask, args=(address,)) for address in addresses]
    for thread in threads:
        thread.start()
    time.sleep(0.4)  # they wait for a batch, for a second
    server.stop()
    for thread in threads:
        thread.join()
    assert len(answers) == 2


@pytest.mark.nightly
def test_killed_under_load_and_started_again(tmp_path):
    """Callers with a deadline beyond the restart do not notice it."""
    fresh(tmp_path)
    ports = free_ports(2)
    first = served.Process(tmp_path, *ports)
    with Load(f"grpc://127.0.0.1:{ports[0]}", callers=2, seconds=120) as load:
        load.more()
        assert first.kill() < 0
        second = served.Process(tmp_path, *ports)
        load.more()
    assert load.errors == []
    assert second.stop() == 0  # SIGTERM
    assert any("stopping" in line for line in second.lines)
