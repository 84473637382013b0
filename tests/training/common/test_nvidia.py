"""A run warns of an unused GPU before the first step, and names the package to install."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from training.cli import main
from training.common import nvidia


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose nvidia-smi lists a card."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H200'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="TensorFlow uses the GPU")
def test_a_card_that_the_backend_cannot_use_is_said_with_the_remedy(card, capsys):
    assert main(["networks", "resnet20", "--no-vgg"]) == 0
    said = capsys.readouterr().err
    for words in ("NVIDIA H200", "CPU", "'.[training,gpu]'", "docs/gpu.md"):
        assert words in said


@pytest.mark.parametrize("value", ["", "-1"])
def test_hidden_cards_are_not_missed(value, card, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert main(["networks", "resnet20", "--no-vgg"]) == 0
    assert "H200" not in capsys.readouterr().err


def test_without_nvidia_smi_the_driver_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    (tmp_path / "gpus" / "0000:01:00.0" / "information").write_text(
        "Model: \t\t NVIDIA A100\nIRQ:   \t\t 45\n"
    )
    monkeypatch.setattr(nvidia, "DRIVER", tmp_path / "gpus")
    monkeypatch.setattr(nvidia, "NODES", tmp_path)
    assert nvidia.devices() == ["NVIDIA A100"]
    monkeypatch.setattr(nvidia, "DRIVER", tmp_path / "none")
    assert nvidia.devices() == []
    (tmp_path / "nvidia0").touch()
    (tmp_path / "nvidiactl").touch()
    assert nvidia.devices() == ["NVIDIA device"]


@pytest.mark.slow
def test_devices_lists_every_installed_backend_and_the_remedies(card, capsys):
    assert main(["devices"]) == 0
    printed = capsys.readouterr().out
    assert f"{tf.__version__}" in printed
    for words in ("tensorflow", "NVIDIA devices of this machine: NVIDIA H200"):
        assert words in printed
    if not tf.config.list_physical_devices("GPU"):
        assert "tensorflow cannot use them: pip install" in printed
