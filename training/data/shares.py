"""A process's share of the images, where several processes train together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Share:
    """The part of every global batch that one process reads: that of its replicas.

    The default reads all of it.
    """

    first: int = 0  # number of the process's first replica
    replicas: int = 1  # replicas of the process
    total: int = 1  # replicas of all processes together

    def spans(self, examples: int, batch_size: int) -> np.ndarray:
        """Returns the images that each of the process's replicas sees of each global batch.

        A batch of n images is cut into parts of ceil(n / total), in the order of the replicas, as
        TensorFlow cuts it; the last part may be smaller. Empty parts are left out.

        Args:
            examples: Number of images in all batches.
            batch_size: Images in a global batch; the last one may be smaller.

        Returns:
            (parts, 2) int64: the number of the first image and that after the last.
        """
        starts = np.arange(0, examples, batch_size)[:, np.newaxis]  # (batches, 1)
        counts = np.minimum(batch_size, examples - starts)
        part = -(-counts // self.total)
        replicas = np.arange(self.first, self.first + self.replicas + 1)
        edges = starts + np.minimum(part * replicas, counts)  # (batches, replicas + 1)
        spans = np.stack((edges[:, :-1], edges[:, 1:]), axis=-1).reshape(-1, 2)
        return spans[spans[:, 0] < spans[:, 1]]


WHOLE = Share()


@dataclass(frozen=True)
class Turn:
    """Whole batches, which processes take in turn. The default takes all."""

    worker: int = 0
    workers: int = 1

    def spans(self, examples: int, batch_size: int) -> np.ndarray:
        """Returns the images of each of the process's batches, as `Share.spans` does."""
        return WHOLE.spans(examples, batch_size)[self.worker :: self.workers]
