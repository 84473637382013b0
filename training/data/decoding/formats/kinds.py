"""The image format of a file, by its first bytes. No TensorFlow here."""

from __future__ import annotations

READ_FORMATS = "JPEG, PNG, GIF, BMP or WebP"
HEADER_BYTES = 18
BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # their lengths; a text may begin with "BM" too
# Kinds of other files: the place of some bytes, these bytes, and the name of the kind.
OTHERS = (
    (4, b"ftyp", "HEIC, AVIF or a film"),
    *((0, magic, "TIFF") for magic in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"%PDF", "PDF"),
    (0, b"<", "SVG or HTML"),
)


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
    if header.startswith(b"BM") and int.from_bytes(header[14:18], "little") in BMP_HEADERS:
        return "BMP"
    if header[:4] == b"RIFF" and header[8:12] == b"WEBP":
        return "WebP"
    return None


def unread_kind(header: bytes) -> str:
    """The kind of a file of another format, such as "TIFF, which is not read"."""
    if not header:
        return "empty"
    for start, magic, name in OTHERS:
        if header[start:].startswith(magic):
            return f"{name}, which is not read"
    return "not an image"
