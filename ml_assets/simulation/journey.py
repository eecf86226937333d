"""One day of visits: what is looked at, put into the cart and bought, and when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml_assets.simulation.events import CART, PURCHASE, VIEW, Events
from ml_assets.simulation.market import Market, Scene, draw_categories, draw_products
from ml_assets.simulation.needs import Needs
from ml_assets.simulation.randomness import Bools, Floats, Ints, Purpose, sigmoid, stream
from ml_assets.simulation.visits import draw_starts
from ml_assets.simulation.world import COUNTRIES

LAST_SECOND = 86_399
ANONYMOUS = 0.005
"""Share of visits that report no session."""
FOCUS = 0.5
"""Share of looks that stay in the category the visit is about."""
FOLLOW = 0.12
"""Share of looks that go to what complements the product before."""


@dataclass(frozen=True)
class Looks:
    """Aligned arrays, one entry per product looked at in a visit, in the order of looking."""

    visit: Ints  # position among the day's visitors
    customer: Ints
    product: Ints
    urgency: Floats  # of the need behind it, 0 if there is none
    habit: Bools  # the need comes back
    owned: Bools  # a durable the customer has already


@dataclass(frozen=True)
class Outcome:
    """What became of each look."""

    carted: Bools
    bought: Bools
    quantity: Ints


def look_around(scene: Scene, needs: Needs, owned: Ints, visitors: Ints) -> Looks:
    """Draw what each visitor looks at: needs first, then whatever interest and taste lead to."""
    market = scene.market
    rng = stream(scene.spec.seed, Purpose.BROWSING, market.day)
    products = len(scene.world.products.category)
    needed = _needed(market, needs, visitors, products, rng)
    visit, product = _explored(scene, visitors, rng)
    visit = np.concatenate([np.searchsorted(visitors, needs.key[needed] // products), visit])
    product = np.concatenate([needs.key[needed] % products, product])
    _, first = np.unique(visit * products + product, return_index=True)
    rows = np.sort(first)
    rows = rows[np.argsort(visit[rows], kind="stable")]
    visit, product = visit[rows], product[rows]
    key = scene.keys(visitors[visit], product)
    return Looks(visit, visitors[visit], product, *needs.look_up(key, market.day), np.isin(key, owned))


def _needed(market: Market, needs: Needs, visitors: Ints, products: int, rng: np.random.Generator) -> Ints:
    """Rows of the needs that visitors turn to."""
    wanted = rng.random(len(needs)) < needs.urgency(market.day)
    here = np.isin(needs.key // products, visitors) & market.available[needs.key % products]
    return np.flatnonzero(wanted & here)


def _explored(scene: Scene, visitors: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """(visit, product) of the looks that no need asked for."""
    world, available = scene.world, scene.market.available
    looks = rng.poisson(world.customers.curiosity[visitors])
    visit = np.repeat(np.arange(len(visitors)), looks)
    customer = visitors[visit]
    theme = draw_categories(scene, visitors, rng)[visit]
    stray = draw_categories(scene, customer, rng)
    category = np.where(rng.random(len(visit)) < FOCUS, theme, stray)
    product = draw_products(scene, customer, category, rng)
    follows = (rng.random(len(visit)) < FOLLOW) & (np.diff(visit, prepend=-1) == 0)
    partner = world.products.complement[np.roll(product, 1)]
    product = np.where(follows & available[partner], partner, product)
    found = product >= 0
    return visit[found], product[found]


def cart_chance(scene: Scene, looks: Looks) -> Floats:
    """Probability that a product looked at goes into the cart."""
    logit = -3.85 + 0.55 * scene.match(looks.customer, looks.product)
    logit -= 1.6 * scene.dearness(looks.customer, looks.product)
    logit += np.where(looks.habit, 6.0, 3.0) * looks.urgency - 4.0 * looks.owned
    return sigmoid(logit)


def purchase_chance(scene: Scene, looks: Looks) -> Floats:
    """Probability that a product in the cart is bought in the same visit."""
    logit = 0.35 + 0.2 * scene.match(looks.customer, looks.product) + 2.5 * looks.habit * looks.urgency
    return sigmoid(logit - 0.8 * scene.dearness(looks.customer, looks.product))


def decide(scene: Scene, looks: Looks, rng: np.random.Generator) -> Outcome:
    """Draw what goes into the cart and what is bought."""
    draws = rng.random((3, len(looks.visit)))
    carted = draws[0] < cart_chance(scene, looks)
    bought = carted & (draws[1] < purchase_chance(scene, looks))
    again = np.where(scene.consumable(looks.product), 0.35, 0.08)  # chance of one piece more
    more = np.floor(np.log(1 - draws[2]) / np.log(again)).astype(np.int64)
    return Outcome(carted, bought, 1 + np.minimum(more, 11))


def as_events(scene: Scene, looks: Looks, outcome: Outcome, rng: np.random.Generator) -> Events:
    """Lay the looks out in time: view, cart a little later, purchases together at the end of the visit."""
    visits = int(looks.visit.max(initial=-1)) + 1
    viewed = _times(scene, looks, visits, rng)
    end = np.zeros(visits, dtype=np.int64)
    np.maximum.at(end, looks.visit, viewed)
    put = viewed + rng.integers(1, 4, len(viewed))
    paid = end[looks.visit] + 30
    rows = [np.arange(len(viewed)), np.flatnonzero(outcome.carted), np.flatnonzero(outcome.bought)]
    second = np.concatenate([viewed, put[rows[1]], paid[rows[2]]])
    kind = np.repeat([VIEW, CART, PURCHASE], [len(r) for r in rows])
    row = np.concatenate(rows)
    order = np.lexsort((row, kind, second))
    second, kind, row = np.minimum(second, LAST_SECOND)[order], kind[order], row[order]
    anonymous = rng.random(visits) < ANONYMOUS
    customer, product, session = looks.customer[row], looks.product[row], looks.visit[row]
    return Events(
        day=np.full(len(row), scene.market.day, dtype=np.int64),
        number=np.arange(len(row)),
        second=second,
        customer=customer,
        product=product,
        kind=kind,
        session=session,
        quantity=np.where(kind == PURCHASE, outcome.quantity[row], 1),
        cents=scene.market.cents[product],
        anonymous=anonymous[session],
        placeless=scene.world.customers.country[customer] == len(COUNTRIES),
    )


def _times(scene: Scene, looks: Looks, visits: int, rng: np.random.Generator) -> Ints:
    """Second of the day of each look: one after the other within a visit."""
    start = draw_starts(scene.spec, visits, scene.market.day, rng)
    pauses = np.cumsum(rng.exponential(45.0, len(looks.visit)) + 3.0)
    first = np.searchsorted(looks.visit, np.arange(visits))
    return np.asarray(start[looks.visit] + (pauses - pauses[first][looks.visit]).astype(np.int64))
