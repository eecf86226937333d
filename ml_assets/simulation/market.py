"""The shop window of one day: what is on sale, at which price, and how much it appeals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from ml_assets.simulation.randomness import Bools, Floats, Ints, Purpose, stream
from ml_assets.simulation.scenarios import price_factor
from ml_assets.simulation.spec import SimulationSpec
from ml_assets.simulation.world import World

TASTE = 0.75
"""Weight of the match between a customer's and a product's style."""
NOVELTY = 1.0
"""Extra appeal of a product on its launch day; fades over three weeks."""


@dataclass(frozen=True)
class Market:
    """One entry per product, or per category for `season`."""

    day: int
    available: Bools
    levels: Floats  # price over base price, before any scenario
    cents: Ints  # list price
    appeal: Floats  # log popularity today
    dearness: Floats  # log of today's price over the usual price
    season: Floats  # factor on the interest in each category, 0 where nothing is on sale
    members: tuple[Ints, ...]  # products on sale in each category


@dataclass(frozen=True)
class Scene:
    """One day on which customers meet the shop."""

    spec: SimulationSpec
    world: World
    market: Market

    def keys(self, customer: Ints, product: Ints) -> Ints:
        """One number per (customer, product)."""
        return customer * len(self.world.products.category) + product

    def match(self, customer: Ints, product: Ints) -> Floats:
        """How well each product suits its customer: around 0 over random pairs, the higher the better."""
        pairs = self.world.customers.style[customer] * self.world.products.style[product]
        return np.asarray(pairs.sum(axis=1, dtype=np.float64))

    def dearness(self, customer: Ints, product: Ints) -> Floats:
        """How much each price hurts its customer: log of today's over the usual price, times thrift."""
        return self.world.customers.thrift[customer] * self.market.dearness[product]

    def consumable(self, product: Ints) -> Bools:
        """Whether each product is used up and bought again."""
        return self.world.categories.consumable[self.world.products.category[product]]


def next_levels(spec: SimulationSpec, levels: Floats, day: int) -> Floats:
    """Return the price levels (times base price) of `day` from those of the day before.

    About one product in fifty changes its price on a day; levels are pulled back to one.
    """
    rng = stream(spec.seed, Purpose.PRICES, day)
    moves = rng.random(len(levels)) < 0.02
    drawn = np.exp(0.5 * np.log(levels) + rng.normal(0, 0.12, len(levels)))
    return np.where(moves, drawn, levels)


def open_market(spec: SimulationSpec, world: World, levels: Floats, day: int) -> Market:
    """Set out the products on sale on `day`."""
    products, categories = world.products, world.categories
    available = (products.launch <= day) & (day < products.retire)
    price = products.base_price * levels * price_factor(spec, day)
    age = day - products.launch
    fresh = np.where((products.launch > 0) & (age >= 0), NOVELTY * np.exp(-np.maximum(age, 0) / 21.0), 0.0)
    wave = 0.5 * np.sin(2 * np.pi * day / products.trend_days + products.trend_phase)
    members = tuple(m[available[m]] for m in categories.members)
    day_of_year = (spec.start + timedelta(days=day)).timetuple().tm_yday
    yearly = 1 + categories.season_size * np.cos(2 * np.pi * (day_of_year - categories.season_peak) / 365.25)
    return Market(
        day=day,
        available=available,
        levels=levels,
        cents=np.maximum(np.round(price * 10).astype(np.int64) * 10 - 1, 9),
        appeal=products.appeal + fresh + wave,
        dearness=np.log(price / products.base_price),
        season=np.where([len(m) > 0 for m in members], yearly, 0.0),
        members=members,
    )


def draw_categories(scene: Scene, customer: Ints, rng: np.random.Generator) -> Ints:
    """Draw one category per entry of `customer`, by the customer's interest and the season."""
    world, market = scene.world, scene.market
    people, row = np.unique(customer, return_inverse=True)
    mass = np.cumsum(world.customers.interest[people] * market.season, axis=1)
    target = rng.random(len(customer)) * mass[row, -1]
    return np.asarray((mass[row] <= target[:, None]).sum(axis=1).clip(max=mass.shape[1] - 1), dtype=np.int64)


def draw_products(scene: Scene, customer: Ints, category: Ints, rng: np.random.Generator) -> Ints:
    """Draw one product on sale per (customer, category), -1 where there is none.

    The choice is a logit in appeal, taste and price, drawn by the Gumbel-max rule.
    """
    world, market = scene.world, scene.market
    chosen = np.full(len(customer), -1, dtype=np.int64)
    order = np.argsort(category, kind="stable")
    bounds = np.searchsorted(category[order], np.arange(len(market.members) + 1))
    for number, members in enumerate(market.members):
        rows = order[bounds[number] : bounds[number + 1]]
        if not len(rows) or not len(members):
            continue
        people = customer[rows]
        noise = rng.standard_exponential((len(rows), len(members)), dtype=np.float32)
        score = np.einsum("is,js->ij", world.customers.style[people], world.products.style[members]) * TASTE
        score += market.appeal[members]
        score -= np.outer(world.customers.thrift[people], market.dearness[members])
        chosen[rows] = members[np.argmax(score - np.log(noise + 1e-30), axis=1)]
    return chosen
