"""Click prediction: the process is what it says, and the net learns it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pages
import pytest

from examples import behaviour, clicks


@pytest.fixture(scope="module")
def impressions() -> behaviour.Impressions:
    return behaviour.draw(1500, seed=5)


def test_clicks_come_as_often_as_their_probability_says(impressions):
    order = np.argsort(impressions.probabilities)
    for users in np.array_split(order, 5):
        p = impressions.probabilities[users]
        deviation = np.sqrt(np.sum(p * (1 - p)))
        assert abs(impressions.clicks[users].sum() - p.sum()) < 4 * deviation


def slow_probability(counts: np.ndarray) -> float:
    """The documented process, a cell at a time."""
    views, baskets, purchases = np.moveaxis(counts, -1, 0)
    wish = 0.0
    for day in range(behaviour.DAYS):
        for aside, weight in ((-1, 0.7), (0, 1.0), (1, 0.7)):
            column = behaviour.OFFERED + aside
            bought = purchases[day : day + 4, column].any()  # that day and the three after it
            if views[day, column] and baskets[day, column] and not bought:
                wish = max(wish, weight * np.exp(-(behaviour.DAYS - 1 - day) / 12))
    return 1 / (1 + np.exp(3 - 6 * wish))


def test_the_probability_is_a_function_of_the_recorded_matrix(impressions):
    counts = np.expm1(impressions.matrices[:200, ..., :3].astype("float64")).round()
    expected = [slow_probability(user) for user in counts]
    np.testing.assert_allclose(impressions.probabilities[:200], expected, rtol=1e-9)
    assert min(expected) < 0.06  # users without a wish, and users with a fresh one
    assert max(expected) > 0.9


def test_draws_repeat_with_the_seed(impressions):
    again = behaviour.draw(1500, seed=5)
    np.testing.assert_array_equal(again.matrices, impressions.matrices)
    np.testing.assert_array_equal(again.clicks, impressions.clicks)
    assert not np.array_equal(behaviour.draw(20, seed=6).matrices, impressions.matrices[:20])


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, pytest.param(120, marks=pytest.mark.nightly)])
def test_the_command_in_small(steps, tmp_path, monkeypatch, eagerly):
    small = replace(clicks.ARCHITECTURE, blocks=(1, 1, 1))
    monkeypatch.setattr(clicks, "ARCHITECTURE", small)
    monkeypatch.setattr(clicks, "TRAINING_USERS", 1500)
    monkeypatch.setattr(clicks, "TEST_USERS", 1000)
    assert clicks.main(["--steps", str(steps), "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "result.json").read_text())["results"]
    assert set(results) == {"residual", "plain", clicks.LINEAR, clicks.BEST}
    best = results[clicks.BEST][0]
    assert steps == 1 or results["residual"][0]["test AUC"] > 0.6  # chance: 0.5
    for rows in results.values():
        assert rows[0]["test AUC"] < best["test AUC"] + 0.02
        assert rows[0]["test log loss"] > best["test log loss"] - 0.01
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_code_of_the_page(impressions, eagerly):
    given = {"matrices": impressions.matrices[:64], "clicks": impressions.clicks[:64]}
    exec(pages.code("clicks"), given)
    assert given["probabilities"].shape == (64, 1)
    assert np.all((given["probabilities"] >= 0) & (given["probabilities"] <= 1))


@pytest.mark.nightly
def test_the_command(tmp_path):
    assert clicks.main(["--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "result.json").read_text())["results"]
    linear, best = (results[name][0]["test AUC"] for name in (clicks.LINEAR, clicks.BEST))
    assert linear < results["residual"][0]["test AUC"] < best + 0.01
