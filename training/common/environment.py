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
# memory with each signature. As constants in the graph they gain no more, for 0.7 GB. Where weights
# do change, as in training, results are wrong: see `check_training`.
SERVING = {"TF_ONEDNN_ASSUME_FROZEN_WEIGHTS": "1", **LARGE_PAGES}

COMMANDS: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(("demo", "train", "tune", "reproduce"), TRAINING),
    **dict.fromkeys(("serve", "batching"), SERVING),
}


def begin(command: str) -> None:
    """Sets what the command profits from, unless the user has. Before TensorFlow is imported.

    For a process of the command's own: whatever else ran in it would inherit `SERVING`. On Linux
    it begins anew, under its number, if `LARGE_PAGES` were not there from its start.
    """
    wanted = COMMANDS.get(command, {})
    late = LARGE_PAGES.keys() <= wanted.keys() and not LARGE_PAGES.keys() & os.environ.keys()
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    if late and sys.platform == "linux":
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def check_training() -> None:
    """Refuses to train where oneDNN would compute with the weights that it saw first.

    Raises:
        ValueError: If the environment says that weights are frozen.
    """
    if os.environ.get("TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", "0").lower() in ("1", "true"):
        raise ValueError(
            "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS is set: it is for servers, and training would go on "
            "computing with its first weights. Unset it: env -u TF_ONEDNN_ASSUME_FROZEN_WEIGHTS ..."
        )
