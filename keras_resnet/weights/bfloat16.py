"""Numbers of type bfloat16, which NumPy itself does not have, as float32: no digit is lost."""

from __future__ import annotations

import numpy as np


def widened(array: np.ndarray) -> np.ndarray:
    """The array as float32 if it is of ml_dtypes' bfloat16; another array as it is."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def from_bits(bits: np.ndarray) -> np.ndarray:
    """float32 numbers of uint16 ones: a bfloat16 is the upper half of a float32."""
    numbers: np.ndarray = np.left_shift(bits, 16, dtype=np.uint32).view(np.float32)
    return numbers
