"""Every kind of image file is read as Pillow shows it, whole and cut out, or refused by name."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from image_files import (
    FILES,
    HEIGHT,
    WIDTH,
    Pixels,
    exif,
    noise,
    png,
    png_chunk,
    saved,
    shown,
    smooth,
)

from training.data.decoding import cropping, image_decoding
from training.data.decoding.formats import kinds

SIDE = 16  # of crops


@pytest.fixture(scope="module")
def decode() -> Callable[..., Pixels]:
    """The decoder as exports hold it, in a graph."""
    spec = [tf.TensorSpec((), tf.string)]
    graphs = {
        channels: tf.function(
            lambda encoded, channels=channels: image_decoding.decode(
                encoded, channels, exported=True
            ),
            input_signature=spec,
        )
        for channels in (1, 3)
    }
    return lambda encoded, channels=3: graphs[channels](encoded).numpy()


# Libraries differ in how they scale up the colours of lossy files, and in rounding.
TOLERANCE = {"JPEG": 4, "WebP, lossy": 4, "WebP, animated": 4, "WebP": 4, "WebP, alpha": 1}


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("name", FILES)
def test_files_look_as_pillow_shows_them(
    decode: Callable[..., Pixels], name: str, channels: int
) -> None:
    found, expected = decode(FILES[name], channels), shown(FILES[name], channels)
    assert found.shape == expected.shape
    assert found.dtype == np.uint8
    tolerance = max((t for start, t in TOLERANCE.items() if name.startswith(start)), default=1)
    assert np.abs(found.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize(("bits", "value"), [(1, 1), (2, 2), (4, 7), (16, 0x1234)])
def test_a_transparent_grey(decode: Callable[..., Pixels], bits: int, value: int) -> None:
    """Pillow 13 takes another value for the transparent one where there are 2 or 4 bits."""
    transparent = png_chunk(b"tRNS", struct.pack(">H", value))
    whole = png(bits, 0)
    opaque = decode(whole)
    expected = np.where(opaque == value * 255 // (2**bits - 1), 255, opaque)
    if bits == 16:  # 1 in 65536 is transparent, none of these
        expected = opaque
    np.testing.assert_array_equal(decode(whole[:33] + transparent + whole[33:]), expected)


def test_data_sets_decode_as_exports_do(decode: Callable[..., Pixels]) -> None:
    """Outside of an export, what few files need runs operation by operation."""
    files = tf.data.Dataset.from_tensor_slices(list(FILES.values()))
    for name, found in zip(FILES, files.map(image_decoding.decode), strict=True):
        np.testing.assert_array_equal(found, decode(FILES[name]), err_msg=name)


# Orientation


def oriented() -> dict[str, Callable[[int], bytes]]:
    """For each format that carries an orientation, files that say how to turn the picture."""

    def jpeg(orientation: int, order: str, *before: bytes) -> bytes:
        data = b"Exif\0\0" + exif(orientation, order)
        segment = b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data
        whole = saved(smooth(), "JPEG", quality=95)
        return whole[:2] + b"".join(before) + segment + whole[2:]

    def apng(orientation: int) -> bytes:
        return saved(noise(), "PNG", exif=exif(orientation), save_all=True, append_images=[noise()])

    def late_png(orientation: int) -> bytes:
        whole = saved(noise("RGBA"), "PNG")
        return whole[:-12] + png_chunk(b"eXIf", exif(orientation, ">")) + whole[-12:]

    def webp(orientation: int, mode: str = "RGB", **options: object) -> bytes:
        return saved(noise(mode), "WEBP", lossless=True, exif=exif(orientation), **options)

    comment = b"\xff\xfe\0\x0ca comment\0" + b"\xff\xff\xfe\0\x04zz"  # the second after padding
    mention = b"\xff\xec\0\x10" + b"Exif\0\0" + exif(5)[:8]  # in a segment of another kind
    return {
        "JPEG, little-endian": lambda n: jpeg(n, "<"),
        "JPEG, big-endian": lambda n: jpeg(n, ">"),
        "JPEG, after other segments": lambda n: jpeg(n, ">", comment, mention),
        "PNG": lambda n: saved(noise(), "PNG", exif=exif(n)),
        "PNG, after the picture": late_png,
        "PNG, animated": apng,
        "WebP": webp,
        "WebP, alpha": lambda n: webp(n, "RGBA", exact=True),
        "WebP, animated": lambda n: webp(n, save_all=True, append_images=[noise()]),
    }


ORIENTED = oriented()


@pytest.mark.parametrize("name", ORIENTED)
def test_every_orientation_is_turned_upright(decode: Callable[..., Pixels], name: str) -> None:
    for orientation in range(1, 9):
        encoded = ORIENTED[name](orientation)
        expected = shown(encoded)
        assert expected.shape[:2] == ((WIDTH, HEIGHT) if orientation >= 5 else (HEIGHT, WIDTH))
        np.testing.assert_allclose(decode(encoded), expected, atol=4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_crop_is_cut_out_of_the_picture_that_is_shown(orientation: int) -> None:
    """Of a JPEG only the crop is decoded: its window turns with the pixels."""
    upright = smooth(120, 200)
    turned = saved(upright, "JPEG", quality=95)
    data = b"Exif\0\0" + exif(orientation)
    encoded = turned[:2] + b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data + turned[2:]
    pixels = tf.constant(shown(encoded))
    for channels in (3, 1):
        for number in range(3):

            def choose(shape: tf.Tensor, number: int = number) -> cropping.Window:
                scale = 0.2 + 0.1 * number
                room = tf.cast(shape[:2], tf.float32) * scale - SIDE
                return cropping.Window(tf.constant(scale), room[0] * 0.9, room[1] * 0.2)

            found = cropping.decode_cut(encoded, choose, SIDE, channels).numpy()
            expected = cropping.cut(pixels, choose(tf.shape(pixels)), SIDE).numpy()
            if channels == 1:
                expected = expected @ np.array([[0.299], [0.587], [0.114]])
            np.testing.assert_allclose(found, expected, atol=3)


def test_exif_data_that_make_no_sense_turn_nothing(decode: Callable[..., Pixels]) -> None:
    whole = saved(noise(), "PNG")
    expected = decode(whole)
    good = exif(6)
    cases = {
        "empty": b"",
        "no such orientation": exif(9),
        "zero": exif(0),
        "no TIFF": b"II+\0" + good[4:],
        "cut off": good[:20],
        "directory beyond the end": good[:4] + b"\xff\xff\xff\x7f" + good[8:],
        "more entries than there are": good[:8] + b"\xff\xff" + good[10:12],
        "a value of another type": good[:24] + b"\4\0" + good[26:],
    }
    for name, data in cases.items():
        encoded = whole[:33] + png_chunk(b"eXIf", data) + whole[33:]
        np.testing.assert_array_equal(decode(encoded), expected, err_msg=name)


def test_a_second_picture_behind_the_first_turns_nothing(decode: Callable[..., Pixels]) -> None:
    """Phones append one for depth or motion, with Exif data of its own."""
    whole = saved(smooth(), "JPEG", quality=95)
    other = saved(smooth(), "JPEG", exif=exif(6))
    np.testing.assert_array_equal(decode(whole + other), decode(whole))


# Small pictures of animations


def test_the_first_picture_may_be_smaller_than_the_animation(decode: Callable[..., Pixels]) -> None:
    first = noise("P").crop((0, 0, 20, 10))
    gif = bytearray(saved(first, "GIF"))
    gif[6:10] = struct.pack("<HH", WIDTH, HEIGHT)
    place = gif.index(b"\x2c\0\0\0\0")
    gif[place + 1 : place + 5] = struct.pack("<HH", 5, 3)
    expected = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    expected[3:13, 5:25] = np.asarray(first.convert("RGB"))
    np.testing.assert_array_equal(decode(bytes(gif)), expected)

    webp = saved(noise(), "WEBP", save_all=True, append_images=[noise()], lossless=True)
    place = webp.index(b"ANMF") + 8
    small = saved(first.convert("RGB"), "WEBP", lossless=True)[12:]
    frame = bytes([4, 0, 0, 3, 0, 0, 19, 0, 0, 9, 0, 0, 50, 0, 0, 0]) + small
    chunk = b"ANMF" + struct.pack("<I", len(frame)) + frame
    inside = webp[8 : place - 8] + chunk + webp[place - 8 :]
    expected = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    expected[6:16, 8:28] = np.asarray(first.convert("RGB"))
    encoded = b"RIFF" + struct.pack("<I", len(inside)) + inside
    np.testing.assert_array_equal(decode(encoded), expected)
    # No pixel of a frame may lie beyond the animation, whose size is the one that limits hold for.
    far = bytearray(encoded)
    far[far.index(b"ANMF") + 8] = 100
    with pytest.raises(tf.errors.InvalidArgumentError, match="a picture beyond its animation"):
        decode(bytes(far))


# Refused files

OS2 = b"BM" + struct.pack("<IHHI", 0, 0, 0, 26) + struct.pack("<IHHHH", 12, 4, 4, 1, 24) + bytes(99)
REFUSED = {
    b"": "is empty",
    b"hello": "is not JPEG, PNG, GIF, BMP or WebP",
    b"BMW and other cars": "is not JPEG",
    b"\0\0\0\x18ftypheic" + bytes(50): "is HEIC, AVIF or a film, which is not read",
    b"MM\0*" + bytes(50): "is TIFF, which is not read",
    b"\0\0\0\x0cJXL \r\n" + bytes(50): "is JPEG XL",
    b"<!doctype html>": "is SVG or HTML",
    OS2: "is a BMP that is compressed, of 16 bits a pixel, or of OS/2",
}


@pytest.mark.parametrize("encoded", REFUSED)
def test_other_files_are_refused_with_the_reason(
    decode: Callable[..., Pixels], encoded: bytes
) -> None:
    assert REFUSED[encoded] in image_decoding.refusal(tf.constant(encoded)).numpy().decode()
    with pytest.raises(tf.errors.InvalidArgumentError, match=REFUSED[encoded]):
        decode(encoded)


def test_jpegs_that_no_decoder_here_reads_are_not_called_damaged() -> None:
    for place, byte, expected in (
        (4, 12, "is a JPEG of 12 bits a channel, lossless or arithmetic-coded"),
        (1, 0xC9, "is a JPEG of 12 bits a channel, lossless or arithmetic-coded"),
        (4, 8, "is damaged or cut off"),
    ):
        encoded = bytearray(FILES["JPEG"])
        frame = encoded.index(b"\xff\xc0")
        encoded[frame + place] = byte
        assert expected in image_decoding.reason(tf.constant(bytes(encoded))).numpy().decode()


@pytest.mark.parametrize(("bits", "compression"), [(16, 0), (8, 1), (4, 2), (32, 3)])
def test_bmp_that_would_look_otherwise_is_refused(
    decode: Callable[..., Pixels], bits: int, compression: int
) -> None:
    bmp = bytearray(saved(noise(), "BMP"))
    bmp[28:34] = struct.pack("<HI", bits, compression)
    with pytest.raises(tf.errors.InvalidArgumentError, match="convert it to PNG"):
        decode(bytes(bmp))


@pytest.mark.parametrize(
    "name", ["JPEG", "PNG, RGB", "GIF", "BMP, P", "BMP, RGB", "WebP", "WebP, animated, RGB"]
)
def test_files_that_are_cut_off_are_errors(decode: Callable[..., Pixels], name: str) -> None:
    whole = FILES[name]
    for length in (20, 60, len(whole) // 2):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode(whole[:length])


def test_files_are_known_alike_in_and_outside_the_graph() -> None:
    """The listing of folders, in Python, and the decoder agree."""
    refusal = tf.function(image_decoding.refusal)
    others = {reason: encoded for encoded, reason in REFUSED.items() if encoded != OS2}
    for name, encoded in {**FILES, **others}.items():
        header = encoded[: kinds.HEADER_BYTES]
        reason, unread = refusal(tf.constant(encoded)).numpy().decode(), kinds.unread_kind(header)
        assert name.startswith(kinds.kind(header) or "is ")
        assert (reason == "") == (name in FILES)
        assert unread == "not an image" or reason.startswith(f"is {unread}")
