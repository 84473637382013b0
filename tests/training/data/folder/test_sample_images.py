"""Sample images from a folder are those that can be decoded."""

from __future__ import annotations

import pytest
from pictures import file_bytes, picture

from training.data.folder import sample_images


def test_images_are_told_by_their_content_and_broken_ones_are_named(tmp_path):
    good = file_bytes(picture(9, 9), "PNG")
    (tmp_path / "within").mkdir()
    (tmp_path / "within" / "no_ending").write_bytes(good)
    (tmp_path / "notes.jpg").write_text("no image")
    assert sample_images.encoded(tmp_path, 4, 8, 3) == [good]
    (tmp_path / "cut.png").write_bytes(good[:60])
    with pytest.raises(ValueError, match=r"cut.png cannot be decoded"):
        sample_images.encoded(tmp_path, 4, 8, 3)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="and its folders have no JPEG"):
        sample_images.encoded(tmp_path, 4, 8, 3)
