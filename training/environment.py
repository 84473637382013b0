"""What TensorFlow reads from the environment when it is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping

# oneDNN's kernels, which TensorFlow takes by itself only on processors with AVX-512's or later
# instructions for neural networks. With oneDNN held to AVX2, on two CPU cores (AMD EPYC), a
# ResNet-20 step takes 0.58 times the processor time, ResNet-50's answer to 16 images 0.82 times,
# to a single image 1.5 times: so it is for training alone.
TRAINING = {"TF_ENABLE_ONEDNN_OPTS": "1"}

# oneDNN then keeps each kernel in the layout that its convolution reads fastest, as it otherwise
# keeps constants; a served version's weights never change. ResNet-50's answer to an image takes
# 0.75 times as long, to 16 images 0.94 times (two CPU cores, Intel Xeon, AVX-512). As constants in
# the graph they would take as long, and each signature half a gigabyte more.
SERVING = {"TF_ONEDNN_ASSUME_FROZEN_WEIGHTS": "1"}

COMMANDS: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(("demo", "train", "tune", "reproduce"), TRAINING),
    **dict.fromkeys(("serve", "batching"), SERVING),
}


def prepare(command: str) -> None:
    """Sets what the command profits from, unless the user has. Before TensorFlow is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name, value in COMMANDS.get(command, {}).items():
        os.environ.setdefault(name, value)
