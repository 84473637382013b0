"""Image files of every kind, and their pixels by Pillow."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 21, 34

Pixels = np.ndarray


def smooth(height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    """A picture that JPEG hardly changes and that looks different from each side."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([255 * y / height, 255 * x / width, 60 + 0 * x], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def noise(mode: str = "RGB") -> Image.Image:
    colours = Image.fromarray(RNG.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    if mode == "P":
        return colours.quantize(200)
    if mode in ("RGBA", "LA"):
        image = colours.convert(mode)
        image.putalpha(Image.fromarray(RNG.integers(0, 256, (HEIGHT, WIDTH), np.uint8)))
        return image
    return colours.convert(mode)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def shown(encoded: bytes, channels: int = 3) -> Pixels:
    """The pixels that a viewer with a white background shows, by Pillow."""
    image = Image.open(io.BytesIO(encoded))
    image.seek(0)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # Pillow would clip at 255 what viewers scale
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    pixels = np.asarray(image.convert("RGB").convert("RGB" if channels == 3 else "L"))
    return pixels.reshape(*pixels.shape[:2], channels)


def exif(orientation: int, order: str = "<") -> bytes:
    """A TIFF structure with a camera's name before the orientation, in either byte order."""
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    entries = struct.pack(f"{order}HHI4s", 0x0110, 2, 4, b"cam\0")
    entries += struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(f"{order}IH", 8, 2) + entries + bytes(4)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(bits: int, colour_type: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of random pixels; Pillow writes few of the kinds that it reads."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    row = (WIDTH * channels * bits + 7) // 8
    rows = b"".join(b"\0" + RNG.bytes(row) for _ in range(HEIGHT))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, colour_type, 0, 0, 0)
    inside = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in inside)


FILES = {
    "JPEG": saved(smooth(), "JPEG", quality=95),
    "JPEG, grey": saved(smooth().convert("L"), "JPEG", quality=95),
    "JPEG, progressive": saved(smooth(), "JPEG", quality=95, progressive=True),
    "JPEG, CMYK": saved(smooth().convert("CMYK"), "JPEG", quality=95),
    **{f"PNG, {mode}": saved(noise(mode), "PNG") for mode in ("RGB", "RGBA", "L", "LA", "P", "1")},
    "PNG, RGB with a transparent colour": saved(smooth(), "PNG", transparency=(0, 0, 60)),
    "PNG, palette, transparent": saved(noise("P"), "PNG", transparency=bytes(range(200))),
    "PNG, by hand": png(8, 2),
    **{
        f"PNG, {bits} bits, colour type {kind}": png(bits, kind)
        for bits, kind in ((1, 0), (2, 0), (4, 0), (16, 0), (16, 2), (16, 4), (16, 6))
    },
    **{
        f"PNG, palette of {bits} bits": png(bits, 3, (b"PLTE", RNG.bytes(3 << bits)))
        for bits in (1, 2, 4, 8)
    },
    "PNG, grey of 8 bits, one of them transparent": png(8, 0, (b"tRNS", b"\0\x41")),
    "PNG, palette of 1 bit, transparent": png(
        1, 3, (b"PLTE", RNG.bytes(6)), (b"tRNS", b"\x80")
    ),
    "GIF": saved(noise("P"), "GIF"),
    "GIF, animated": saved(
        noise("P"), "GIF", save_all=True, append_images=[noise("P"), noise("P")], comment=b"x" * 700
    ),
    "GIF, transparent": saved(noise("P"), "GIF", transparency=7),
    **{f"BMP, {mode}": saved(noise(mode), "BMP") for mode in ("RGB", "RGBA", "L", "P", "1")},
    "WebP": saved(smooth(), "WEBP", quality=95),
    "WebP, lossless": saved(noise(), "WEBP", lossless=True),
    "WebP, alpha": saved(noise("RGBA"), "WEBP", lossless=True, exact=True),
    "WebP, lossy, alpha": saved(noise("RGBA"), "WEBP", quality=95, exact=True),
    **{
        f"WebP, animated, {mode}": saved(
            noise(mode), "WEBP", save_all=True, append_images=[noise(mode)] * 2, lossless=True
        )
        for mode in ("RGB", "RGBA")
    },
    "WebP, animated, lossy": saved(
        smooth(), "WEBP", save_all=True, append_images=[noise()], quality=95
    ),
}  # fmt: skip
