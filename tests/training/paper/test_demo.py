"""The demonstration in its smallest size, and the files that it writes."""

from __future__ import annotations

import json

import pytest

from training.cli import main
from training.paper.results import spread

pytestmark = pytest.mark.usefixtures("digits_are_few")


@pytest.mark.slow
def test_the_demonstration(tmp_path, capsys):
    arguments = ["demo", "--depths", "8", "14", f"--workdir={tmp_path / 'demo'}"]
    tiny = ["--set=iterations=4", "--set=batch_size=32", f"--out={tmp_path / 'savedmodels'}"]
    assert main([*arguments, *tiny]) == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "demo" / "curves.png").read_bytes().startswith(b"\x89PNG")
    for run in ("plain8-0", "plain14-0", "resnet8-0", "resnet14-0"):
        error = json.loads((tmp_path / "demo" / run / "result.json").read_text())["test_error"]
        assert f"{error:.1f}" in printed
    assert (tmp_path / "savedmodels" / "digits-resnet14" / "1" / "saved_model.pb").is_file()


def test_spread_is_the_sample_standard_deviation():
    assert spread([7.25], digits=1) == "7.2"
    assert spread([1.0, 3.0]) == "2.00 ± 1.41"
