"""What a day of visits leaves behind: habits renewed, ended and formed, full carts, things owned."""

from __future__ import annotations

import numpy as np

from ml_assets.simulation.journey import Looks, Outcome
from ml_assets.simulation.market import Scene, draw_categories, draw_products
from ml_assets.simulation.needs import ONCE, Needs
from ml_assets.simulation.randomness import Floats, Ints, Purpose, stream
from ml_assets.simulation.world import World

ADOPT = 0.24
"""Chance that the first purchase of a consumable becomes a habit."""
DROP = 0.22
"""Chance that a habit ends after a purchase."""
OLD_HABITS = 1.35
"""Mean number of habits that customers bring along on the first day."""


def first_needs(scene: Scene) -> Needs:
    """Draw the habits that customers have before the first day."""
    world = scene.world
    rng = stream(scene.spec.seed, Purpose.CUSTOMERS, 1)
    customers = world.customers
    old = (customers.join < 0) & (customers.rate > 0)
    count = np.where(old, rng.poisson(OLD_HABITS * np.sqrt(customers.rate)), 0)
    customer = np.repeat(np.arange(len(count)), count)
    category = draw_categories(scene, customer, rng)
    product = draw_products(scene, customer, category, rng)
    kept = (product >= 0) & world.categories.consumable[category]
    cycle = _cycles(world, product[kept], rng)
    due = np.ceil(rng.random(len(cycle)) * cycle)
    return Needs.none().joined(scene.keys(customer[kept], product[kept]), cycle, due)


def _cycles(world: World, product: Ints, rng: np.random.Generator) -> Floats:
    typical = world.categories.cycle[world.products.category[product]]
    return np.asarray(np.clip(typical * np.exp(rng.normal(0, 0.3, len(product))), 4.0, 90.0))


def after(scene: Scene, needs: Needs, looks: Looks, outcome: Outcome) -> Needs:
    """Return the needs at the end of the day."""
    today = scene.market.day
    rng = stream(scene.spec.seed, Purpose.AFTERMATH, today)
    key = scene.keys(looks.customer, looks.product)
    kept = _renewed(today, needs, key[outcome.bought], rng)
    adopts = rng.random(len(key)) < ADOPT
    new = np.flatnonzero(outcome.bought & scene.consumable(looks.product) & ~looks.habit & adopts)
    cycle = _cycles(scene.world, looks.product[new], rng)
    formed = (key[new], cycle, today + cycle * np.exp(rng.normal(0, 0.15, len(new))))
    left = np.flatnonzero(outcome.carted & ~outcome.bought & ~looks.habit)
    wishes = (key[left], np.full(len(left), ONCE), today + 1.0 + np.floor(6 * rng.random(len(left))))
    return kept.joined(*formed).joined(*wishes).remembered(today)


def _renewed(today: int, needs: Needs, bought: Ints, rng: np.random.Generator) -> Needs:
    """Move the habits served to their next date, with jitter; end some of them, and fulfilled wishes."""
    served = np.isin(needs.key, bought)
    jitter = np.exp(rng.normal(0, 0.15, len(needs)))
    due = np.where(served, today + np.maximum(needs.cycle * jitter, 2.0), needs.due)
    ends = served & ((needs.cycle == ONCE) | (rng.random(len(needs)) < DROP))
    return Needs(needs.key, needs.cycle, due).take(np.flatnonzero(~ends))


def owned_after(scene: Scene, owned: Ints, looks: Looks, outcome: Outcome) -> Ints:
    """Return the sorted keys of the durables that customers have at the end of the day."""
    rows = np.flatnonzero(outcome.bought & ~scene.consumable(looks.product))
    return np.union1d(owned, scene.keys(looks.customer[rows], looks.product[rows]))
