"""What a command prints and returns when it fails."""

from __future__ import annotations

import pytest

from training.common.errors import exit_code


class ResourceExhaustedError(Exception):
    """Called as TensorFlow's."""


class XlaRuntimeError(RuntimeError):
    """Called as JAX's."""


def raising(error):
    def run():
        raise error

    return run


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ResourceExhaustedError("OOM when allocating tensor with shape[128,64,112,112]"),
        XlaRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 5 bytes."),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),  # PyTorch's
    ],
    ids=["Python", "TensorFlow", "JAX", "PyTorch"],
)
def test_too_little_memory_is_one_line_with_the_way_out(error, capsys):
    assert exit_code("training evaluate", raising(error)) == 1
    message = capsys.readouterr().err
    assert message.startswith("python -m training evaluate: the memory is too small")
    assert "--batch-size" in message
    assert len(message.splitlines()) == 1


def test_a_fault_of_the_program_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="a fault"):
        exit_code("training evaluate", raising(RuntimeError("a fault")))
