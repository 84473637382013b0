"""Files are complete or absent, and a lock ends with its process."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from training.common.files import (
    atomic_write,
    exclusive_lock,
    read_json,
    sha256,
    write_csv,
    write_json,
)


def test_an_error_while_writing_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "numbers.txt"
    path.write_text("before")

    def fail_half_way():
        with atomic_write(path) as temporary:
            temporary.write_text("half of it")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail_half_way()
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["numbers.txt"]


def test_an_error_of_a_full_disk_names_the_file(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))  # bytes: a full disk in small
    try:
        with pytest.raises(OSError, match=r"File too large: '.*/a\.csv'"):
            write_csv(tmp_path / "a.csv", [["step", "loss"], *([i, 0.5] for i in range(1000))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_text_files_are_as_other_programs_read_them(tmp_path):
    write_csv(tmp_path / "a.csv", [("net", "error, %"), ("ResNet-20", 8.5)])
    assert (tmp_path / "a.csv").read_text() == 'net,"error, %"\nResNet-20,8.5\n'
    write_json(tmp_path / "a.json", {"error": 8.5})
    assert (tmp_path / "a.json").read_text() == '{\n  "error": 8.5\n}\n'


@pytest.mark.parametrize("content", [b"", b'{"error": 8', b'{"name": "\xff"}'])
def test_a_damaged_json_file_is_named(content, tmp_path):
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"result\.json is damaged"):
        read_json(tmp_path / "result.json")


def test_the_digest_is_fips_180_s(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "abc") == expected


def test_a_lock_is_held_by_one_process_and_ends_with_it(tmp_path):
    lock = tmp_path / ".lock"
    program = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX);"
        "print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(OSError, match="--workdir"), exclusive_lock(lock):
        pass
    other.kill()
    other.wait()
    with exclusive_lock(lock):
        pass
