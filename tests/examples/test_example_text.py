"""Text: the sentences are split honestly, and the net learns the languages."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pages
import pytest

pytest.importorskip("django", reason="Django (extra `examples`) is not installed")
pytest.importorskip("polib", reason="polib (extra `examples`) is not installed")

from examples import text, translations


@pytest.fixture(scope="module")
def sentences():
    return translations.read()


@pytest.fixture(scope="module")
def halves(sentences):
    return translations.split(sentences)


def test_no_document_and_no_sentence_is_in_both_splits(halves):
    training, test = halves
    assert not {s.application for s in training} & {s.application for s in test}
    assert not {s.text for s in training} & {s.text for s in test}


def test_every_language_has_its_sentences_in_both(halves):
    for half, fewest in zip(halves, (200, 100), strict=True):
        languages = [sentence.language for sentence in half]
        for code in translations.LANGUAGES:
            assert languages.count(code) >= fewest


def test_a_django_without_catalogues_is_said_to_be_one(tmp_path, monkeypatch):
    somewhere = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: somewhere)
    with pytest.raises(OSError, match=r"no catalogues \(\*\.po\) of da, fr: .* pip install django"):
        translations.read(("fr", "da"))


def test_sentences_are_the_languages_own(halves):
    texts = {(s.language, s.text) for half in halves for s in half}
    for language, word in {"de": "nicht", "fr": "cette", "pl": "się", "fi": "ei"}.items():
        assert any(code == language and word in text.split() for code, text in texts)
    assert not any("%(" in text or "{" in text for _, text in texts)


def test_characters_become_numbers_from_one():
    encoded = text.encode(["abc!", "c" * 100], "abc")
    assert encoded.shape == (2, text.LENGTH)
    assert encoded[0].tolist() == [1, 2, 3] + [text.UNKNOWN] * (text.LENGTH - 3)
    assert np.all(encoded[1] == 3)


@pytest.mark.nightly
def test_the_command_in_small(sentences, tmp_path, monkeypatch, eagerly):
    monkeypatch.setattr(text, "ARCHITECTURE", replace(text.ARCHITECTURE, blocks=(1, 1, 1)))
    monkeypatch.setattr(translations, "read", lambda: sentences)
    assert text.main(["--steps", "80", "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "result.json").read_text())["results"]
    assert set(results) == {"residual", "plain", text.LINEAR}
    assert results["residual"][0]["test error, %"] < 85  # chance: 95
    assert results[text.LINEAR][0]["test error, %"] < 20
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_code_of_the_page(halves, eagerly):
    sentences = [s for s in halves[0] if s.language in text.CODES[:3]][::20]
    given = {"texts": [s.text for s in sentences], "languages": text.labels(sentences)}
    exec(pages.code("text"), given)
    assert given["probabilities"].shape == (len(sentences), 3)
    np.testing.assert_allclose(given["probabilities"].sum(axis=1), 1, rtol=1e-4)


@pytest.mark.nightly
def test_the_command(tmp_path):
    assert text.main(["--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "result.json").read_text())["results"]
    residual, plain = (results[net][0]["test error, %"] for net in ("residual", "plain"))
    assert residual < 40
    assert residual < plain
