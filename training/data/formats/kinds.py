"""Which image format a file is of, by its first bytes. No TensorFlow here."""

from __future__ import annotations

READ_FORMATS = "JPEG, PNG, GIF, BMP or WebP"
HEADER_BYTES = 16


def kind(header: bytes) -> str | None:
    """One of `READ_FORMATS`; None of anything else.

    Args:
        header: The first `HEADER_BYTES` of the file, or all of a shorter one.
    """
    if header.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if header.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if header.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if header.startswith(b"BM"):
        return "BMP"
    if header[:4] == b"RIFF" and header[8:12] == b"WEBP":
        return "WebP"
    return None


def unread_kind(header: bytes) -> str:
    """What a file of another format is, such as "HEIC or AVIF, which is not read"."""
    if not header:
        return "empty"
    # The ISO base media format names its kind behind "ftyp"; some are films.
    if header[4:8] == b"ftyp" and header[8:12] in (b"heic", b"heix", b"mif1", b"avif", b"avis"):
        return "HEIC or AVIF, which is not read"
    if header.startswith((b"II*\0", b"MM\0*")):
        return "TIFF, which is not read"
    return "not an image"
