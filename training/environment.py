"""What TensorFlow reads from the environment when it is imported."""

from __future__ import annotations

import os

COMMANDS = ("demo", "train", "tune", "reproduce")  # those that train

# oneDNN's kernels, which TensorFlow takes by itself only on processors with AVX-512's or later
# instructions for neural networks. With oneDNN held to AVX2, on two CPU cores (AMD EPYC), a
# ResNet-20 step takes 0.58 times the processor time, ResNet-50's answer to 16 images 0.82 times,
# to a single image 1.5 times: so it is for training alone.
TRAINING = {"TF_ENABLE_ONEDNN_OPTS": "1"}


def prepare(command: str) -> None:
    """Sets what the command profits from, unless the user has. Before TensorFlow is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if command in COMMANDS:
        for name, value in TRAINING.items():
            os.environ.setdefault(name, value)
