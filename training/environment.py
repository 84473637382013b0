"""What TensorFlow reads from the environment when it is imported, and glibc before that."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

# Memory from glibc in pages of 2 MiB, where Linux has some: ResNet-20 then trains 1.04 times as
# fast, and ResNet-50 answers 1.01 to 1.02 times as fast (two CPU cores, Intel Xeon). Read when a
# process starts; glibc before 2.35 and other C libraries do not know it.
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}

# oneDNN's kernels, which TensorFlow takes by itself only on processors with AVX-512's or later
# instructions for neural networks. With oneDNN held to AVX2, on two CPU cores (AMD EPYC), a
# ResNet-20 step takes 0.58 times the processor time, ResNet-50's answer to 16 images 0.82 times,
# to a single image 1.5 times: so it is for training alone.
TRAINING = {"TF_ENABLE_ONEDNN_OPTS": "1", **LARGE_PAGES}

# oneDNN then keeps each kernel in the layout that its convolution reads fastest, as it otherwise
# keeps constants; a served version's weights never change. ResNet-50's answer to an image takes
# 0.75 times as long, to 16 images 0.96 times (two CPU cores, Intel Xeon, AVX-512), for 0.1 GB of
# memory with each signature. As constants in the graph they gain no more, for 0.7 GB.
SERVING = {"TF_ONEDNN_ASSUME_FROZEN_WEIGHTS": "1", **LARGE_PAGES}

COMMANDS: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(("demo", "train", "tune", "reproduce"), TRAINING),
    **dict.fromkeys(("serve", "batching"), SERVING),
}


def prepare(command: str) -> None:
    """Sets what the command profits from, unless the user has. Before TensorFlow is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name, value in COMMANDS.get(command, {}).items():
        os.environ.setdefault(name, value)


def restart(command: str) -> None:
    """Begins the process anew, under its number, with `LARGE_PAGES` if the command profits.

    Nothing happens where the user has set something there, or on other systems than Linux.
    """
    profits = LARGE_PAGES.keys() <= COMMANDS.get(command, {}).keys()
    if profits and sys.platform == "linux" and not LARGE_PAGES.keys() & os.environ.keys():
        os.environ.update(LARGE_PAGES)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
