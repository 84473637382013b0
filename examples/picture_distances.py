"""Distances between pictures that need no network: of their patches, and of their edges."""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 7  # pixels, of a patch
SMALLEST = 16  # pixels, of the coarsest level's shorter side
DIRECTIONS = 64
QUANTILES = 256
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601
EDGE_BLUR = 2  # pixels that are averaged down and across before edges are computed


def patches(picture: np.ndarray, other: np.ndarray, seed: int = 0) -> float:
    """Returns how differently two pictures are coloured and textured, regardless of the place.

    The sliced Wasserstein distance, squared, of the 7x7 patches of their Laplacian pyramids (Karras
    et al. 2018, arXiv 1710.10196, section 5): at each scale, patches are projected on random
    directions and their sorted projections are compared. Unlike in that paper, the unit is
    `other`'s standard deviation of each colour at each scale, so that colours count; the scales are
    summed.

    Args:
        picture: (H, W, 3), values in [0, 255].
        other: A picture of the same size.
        seed: Of the directions.
    """
    random = np.random.default_rng(seed)
    total = 0.0
    for ours, theirs in zip(_laplacian(picture), _laplacian(other), strict=True):
        spread = theirs.std(axis=(0, 1)) + 1e-3  # a flat colour has none
        directions = random.normal(size=(SIDE * SIDE * 3, DIRECTIONS))
        directions /= np.linalg.norm(directions, axis=0)
        a, b = (_quantiles(level / spread, directions) for level in (ours, theirs))
        total += float(np.mean((a - b) ** 2))
    return total


def _laplacian(picture: np.ndarray) -> list[np.ndarray]:
    """Returns the details lost by each halving, finest first, then the rest: (H, W, 3) each."""
    level, levels = np.asarray(picture, "float32"), []
    while min(level.shape[:2]) >= 2 * SMALLEST:
        height, width, _ = level.shape
        coarse = _resized(level, height // 2, width // 2)
        levels.append(level - _resized(coarse, height, width))
        level = coarse
    return [*levels, level]


def _resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    channels = [
        Image.fromarray(channel).resize((width, height), Image.Resampling.BILINEAR)
        for channel in np.moveaxis(picture, -1, 0)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def _quantiles(picture: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Returns the quantiles of all patches' projections: (QUANTILES, directions)."""
    windows = np.lib.stride_tricks.sliding_window_view(picture, (SIDE, SIDE), axis=(0, 1))
    projections = windows.reshape(-1, len(directions)) @ directions.astype("float32")
    return np.quantile(projections, (np.arange(QUANTILES) + 0.5) / QUANTILES, axis=0)


def edges(picture: np.ndarray, other: np.ndarray) -> float:
    """Returns how differently the edges are placed: 0 at the same places, 1 if unrelated.

    One minus Pearson's correlation of the steepness of grey at each pixel; it does not matter which
    side of an edge is brighter. A picture without edges is unrelated to all others.

    Args:
        picture: (H, W, 3), values in [0, 255].
        other: A picture of the same size.
    """
    ours, theirs = (_steepness(p) for p in (picture, other))
    lengths = np.linalg.norm(ours) * np.linalg.norm(theirs)
    return 1 - float(np.sum(ours * theirs) / lengths) if lengths else 1.0


def _steepness(picture: np.ndarray) -> np.ndarray:
    """Returns each pixel's steepness less the mean: (H / EDGE_BLUR, W / EDGE_BLUR)."""
    grey = np.asarray(picture, "float32") @ np.array(GREY, "float32")
    height, width = (n // EDGE_BLUR for n in grey.shape)
    steepness = np.hypot(*np.gradient(_resized(grey[..., None], height, width)[..., 0]))
    return steepness - steepness.mean()
