"""A process ends with its code, whatever would keep Python from ending."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import CHECKOUT

# What Python does last, after `atexit`, never ends here: it destroys what the module holds.
PROGRAM = """
import atexit, time
from training.common.process_end import run_as_process

class Endless:
    def __del__(self):
        while True:
            time.sleep(1)

endless = Endless()

def main():
    atexit.register(print, "atexit")
    print("main")
    {ending}

run_as_process(main)
"""


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("return 0", 0),
        ("return 75", 75),
        ("raise SystemExit", 0),
        ("raise SystemExit(2)", 2),
        ("raise KeyError('nobody expects this')", 1),
    ],
)
def test_the_process_ends_with_its_code_and_all_that_it_printed(ending: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(ending=ending)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.split() == ["main", "atexit"]
    assert ("nobody expects this" in done.stderr) is (code == 1)
