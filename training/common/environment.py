"""Environment variables that TensorFlow reads when it is imported."""

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
# 0.75 times as long, to 16 images 0.96 times (two CPU cores, Intel Xeon, AVX-512), for 0.1 GB of
# memory with each signature. As constants in the graph they gain no more, for 0.7 GB. Where weights
# do change, as in training, results are wrong: see `check_training`.
SERVING = {"TF_ONEDNN_ASSUME_FROZEN_WEIGHTS": "1"}

COMMANDS: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(("demo", "train", "tune", "reproduce"), TRAINING),
    **dict.fromkeys(("serve", "batching"), SERVING),
}


def begin(command: str) -> None:
    """Sets what a command profits from, unless the user has set it; before TensorFlow is imported.

    It is for a process of the command's own: whatever else ran in it would inherit `SERVING`.
    """
    for name, value in COMMANDS.get(command, {}).items():
        os.environ.setdefault(name, value)


def check_training() -> None:
    """Refuses to train where oneDNN would compute with the weights that it saw first.

    Raises:
        ValueError: If the environment says that weights are frozen.
    """
    if os.environ.get("TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", "0").lower() in ("1", "true"):
        raise ValueError(
            "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS is set: it is for servers; training would compute "
            "with its first weights only. Unset it: env -u TF_ONEDNN_ASSUME_FROZEN_WEIGHTS ..."
        )
