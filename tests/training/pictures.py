"""Drawn pictures of known pixels, and their files."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def picture(height, width, channels=3, seed=0):
    """A smooth picture, which JPEG keeps well: uint8 (height, width, channels)."""
    x = np.linspace(0, 3, width)[None, :, None]
    y = np.linspace(0, 2, height)[:, None, None]
    c = np.arange(channels) + seed
    return (127 + 120 * np.sin(x * (1 + c) + y)).astype(np.uint8)


def file_bytes(pixels, kind, **options):
    """The pixels as a file of Pillow's format `kind`."""
    file = io.BytesIO()
    squeezed = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    Image.fromarray(squeezed).save(file, kind, **options)
    return file.getvalue()


def pillow_resized(pixels, resizing):
    """The resizing by another program: Pillow's is antialiased too. float32 (S, S, C)."""
    height, width = pixels.shape[:2]
    scale = resizing.shorter_side / min(height, width)
    top, left = ((side * scale - resizing.crop) / 2 / scale for side in (height, width))
    side = resizing.crop / scale
    kernel = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    bands = [
        Image.fromarray(pixels[..., i].astype("f4")).resize(
            (resizing.crop,) * 2, kernel[resizing.method], box=(left, top, left + side, top + side)
        )
        for i in range(pixels.shape[-1])
    ]
    return np.stack([np.asarray(band) for band in bands], axis=-1)
