"""Generates users' behaviour, and the exact probability that each user clicks an offer.

A user has wishes. A wish lives for some days in one category of goods and its neighbours: the user
views goods, sometimes puts one into the basket, and may buy it, which ends the wish. Then one
category is offered. The user clicks with a probability that is a function of the recorded matrix
alone, so that no model of the matrix can do better than to predict this probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DAYS = 32
CATEGORIES = 16  # in a ring: neighbours are similar goods
CHANNELS = ("views", "baskets", "purchases", "recency of the offered category")
OFFERED = CATEGORIES // 2  # the column of the offered category, for every user
WISHES = 6  # expected number for each user

# The process of the click
MEMORY = 12.0  # days after which a wish has faded to 1/e
NEARNESS = (1.0, 0.7)  # weight of a wish in the offered category, and in a neighbour
BASE, STRENGTH = -3.0, 6.0  # logit of a click without a wish, and the logit that a new wish adds


@dataclass(frozen=True)
class Impressions:
    """The recorded behaviour of each user, and whether the user clicked."""

    matrices: np.ndarray  # (users, DAYS, CATEGORIES, CHANNELS) float32; the last day is today
    probabilities: np.ndarray  # (users,) of a click, exact
    clicks: np.ndarray  # (users,) 0 or 1


def draw(users: int, seed: int) -> Impressions:
    """Draws independent users."""
    generator = np.random.default_rng(seed)
    counts = _counts(users, generator)
    probabilities = click_probabilities(counts)
    clicks = (generator.random(users) < probabilities).astype("int32")
    return Impressions(_matrices(counts), probabilities, clicks)


def _counts(users: int, generator: np.random.Generator) -> np.ndarray:
    """Draws views, baskets and purchases by day and category: (users, DAYS, CATEGORIES, 3)."""
    counts = np.zeros((users, DAYS, CATEGORIES, 3), "float32")
    counts[..., 0] = generator.poisson(0.15, counts.shape[:3])  # views without a wish
    user = np.repeat(np.arange(users), generator.poisson(WISHES, users))  # of each wish
    # Wishes are near the offer, as a shop would choose it.
    aside = np.rint(generator.normal(0, 2, len(user))).astype(int)
    category = (OFFERED + aside) % CATEGORIES
    start = generator.integers(-4, DAYS, len(user))
    end = start + 1 + generator.geometric(0.2, len(user))
    for day in range(DAYS):
        now = np.flatnonzero((start <= day) & (day < end))
        for step, views in ((0, 1.5), (-1, 0.6), (1, 0.6)):
            seen = generator.poisson(views, len(now))
            np.add.at(counts, (user[now], day, (category[now] + step) % CATEGORIES, 0), seen)
        put = now[generator.random(len(now)) < 0.4]
        np.add.at(counts, (user[put], day, category[put], 1), 1)
        bought = put[generator.random(len(put)) < 0.3]
        np.add.at(counts, (user[bought], day, category[bought], 2), 1)
        end[bought] = day  # the wish is fulfilled
    return counts


def click_probabilities(counts: np.ndarray) -> np.ndarray:
    """Returns the probability of a click: counts (users, DAYS, CATEGORIES, 3) -> (users,).

    A day on which a category was viewed and put into the basket is an unfulfilled wish, unless the
    category was bought on that day or one of the next three. The wish with the largest weight by
    NEARNESS to the offer and MEMORY decides the probability.
    """
    views, baskets, purchases = np.moveaxis(counts, -1, 0)  # (users, DAYS, CATEGORIES) each
    bought_soon = purchases > 0
    for days in (1, 2, 3):
        bought_soon[:, :-days] |= purchases[:, days:] > 0
    unfulfilled = (views > 0) & (baskets > 0) & ~bought_soon
    age = np.arange(DAYS - 1, -1, -1)[:, None]
    weight = np.zeros((DAYS, CATEGORIES))
    for aside in range(-len(NEARNESS) + 1, len(NEARNESS)):
        weight[:, [OFFERED + aside]] = NEARNESS[abs(aside)] * np.exp(-age / MEMORY)
    wish = (unfulfilled * weight).max(axis=(1, 2))
    return 1 / (1 + np.exp(-(BASE + STRENGTH * wish)))


def _matrices(counts: np.ndarray) -> np.ndarray:
    """Returns a model's input: log(1 + count), and a ramp that marks the offered category."""
    recency = np.zeros(counts.shape[:3])
    recency[:, :, OFFERED] = np.exp(-np.arange(DAYS - 1, -1, -1) / MEMORY)
    return np.concatenate([np.log1p(counts), recency[..., None]], axis=-1).astype("float32")
