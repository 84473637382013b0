"""The files of an evaluation."""

from __future__ import annotations

import pytest

from training.evaluation import report


@pytest.mark.parametrize("name", ["evaluation.json", "classes.csv", "worst.png"])
def test_no_file_of_the_users_is_overwritten(name, tmp_path):
    report.claim(tmp_path)
    (tmp_path / "notes.txt").touch()
    report.claim(tmp_path)
    (tmp_path / name).touch()
    with pytest.raises(FileExistsError, match=f"has {name} already"):
        report.claim(tmp_path)
