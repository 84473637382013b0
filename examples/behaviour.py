"""Users' behaviour from a known process, and the exact probability of each one's next click.

A user has wishes. A wish lives for some days in one category of goods and its neighbours: the user
views, sometimes puts into the basket, and may buy, which ends the wish. Then one category is
offered. Whether the offer is clicked is a coin thrown with a probability that is a function of the
recorded matrix alone, so no model of the matrix can do better than that probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DAYS = 32
CATEGORIES = 16  # in a ring: neighbours are similar goods
CHANNELS = ("views", "baskets", "purchases", "recency of the offered category")
OFFERED = CATEGORIES // 2  # the column of the offered category, for every user
WISHES = 6  # expected, of a user

# The process that throws the coin
MEMORY = 12.0  # days in which a wish fades to 1/e
NEARNESS = (1.0, 0.7)  # weight of the offered category, and of either neighbour
BASE, STRENGTH = -3.0, 6.0  # logit of a click without a wish; and what a wish of today adds


@dataclass(frozen=True)
class Impressions:
    """What was recorded of each user, and what came of the offer."""

    matrices: np.ndarray  # (users, DAYS, CATEGORIES, CHANNELS) float32; the last day is today
    probabilities: np.ndarray  # (users,) of a click, exact
    clicks: np.ndarray  # (users,) 0 or 1


def draw(users: int, seed: int) -> Impressions:
    """`users` independent users."""
    generator = np.random.default_rng(seed)
    counts = _counts(users, generator)
    probabilities = click_probabilities(counts)
    clicks = (generator.random(users) < probabilities).astype("int32")
    return Impressions(_matrices(counts), probabilities, clicks)


def _counts(users: int, generator: np.random.Generator) -> np.ndarray:
    """Views, baskets and purchases by day and category: (users, DAYS, CATEGORIES, 3)."""
    counts = np.zeros((users, DAYS, CATEGORIES, 3), "float32")
    counts[..., 0] = generator.poisson(0.15, counts.shape[:3])  # views of no consequence
    user = np.repeat(np.arange(users), generator.poisson(WISHES, users))  # of each wish
    # Wishes crowd around the offer, which a shop would not make without a reason.
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
    """Of users with these views, baskets and purchases: (users, DAYS, CATEGORIES, 3) -> (users,).

    A day on which a category was viewed and put into the basket, but not bought, is a wish
    unfulfilled; a purchase of the category on one of the next three days fulfils it. The wish that
    is nearest to the offer and freshest, MEMORY and NEARNESS considered, makes the probability.
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
    """What a model sees: log(1 + count), and a ramp that marks the offered category and today."""
    recency = np.zeros(counts.shape[:3])
    recency[:, :, OFFERED] = np.exp(-np.arange(DAYS - 1, -1, -1) / MEMORY)
    return np.concatenate([np.log1p(counts), recency[..., None]], axis=-1).astype("float32")
