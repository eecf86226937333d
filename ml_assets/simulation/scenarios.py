"""What each scenario does from its day on: another world, other prices, broken tracking."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ml_assets.simulation.events import CART, Events
from ml_assets.simulation.needs import Needs
from ml_assets.simulation.randomness import Purpose, stream
from ml_assets.simulation.spec import SimulationSpec
from ml_assets.simulation.world import NOVELTIES, World

PRICE_SHOCK = 1.6
NOVELTY_INTEREST = 0.35
LOST_CARTS = 0.8


def active(spec: SimulationSpec, name: str, day: int) -> bool:
    """Whether the scenario `name` is in force on `day`."""
    scenario = spec.scenario
    return scenario is not None and scenario.name == name and day >= spec.number_of(scenario.day)


def changed_world(spec: SimulationSpec, world: World) -> World:
    """Return the world as it is from the scenario's day on."""
    if spec.scenario is None:
        return world
    day = spec.number_of(spec.scenario.day)
    if spec.scenario.name == "taste_shift":
        return _shift_tastes(spec, world)
    if spec.scenario.name == "new_category":
        return _launch_novelties(spec, world, day)
    return world


def _shift_tastes(spec: SimulationSpec, world: World) -> World:
    rng = stream(spec.seed, Purpose.SCENARIO)
    customers, products = world.customers, world.products
    styles = customers.style.shape[1]
    rotation, _ = np.linalg.qr(rng.normal(size=(styles, styles)))
    known = customers.interest.shape[1] - 1
    order = np.append(rng.permutation(known), known)
    appeal = products.appeal.copy()
    for members in world.categories.members:
        appeal[members] = rng.permutation(appeal[members])
    return replace(
        world,
        customers=replace(
            customers,
            style=np.einsum("ij,jk->ik", customers.style, rotation.astype(np.float32)),
            interest=customers.interest[:, order],
        ),
        products=replace(products, appeal=appeal),
    )


def _launch_novelties(spec: SimulationSpec, world: World, day: int) -> World:
    rng = stream(spec.seed, Purpose.SCENARIO)
    interest = world.customers.interest.copy()
    interest[:, -1] = NOVELTY_INTEREST * np.exp(rng.normal(0, 0.5, len(interest)))
    launch = world.products.launch.copy()
    launch[-NOVELTIES:] = day
    return replace(
        world,
        customers=replace(world.customers, interest=interest),
        products=replace(world.products, launch=launch),
    )


def surviving_needs(spec: SimulationSpec, needs: Needs, day: int) -> Needs:
    """End half of all habits on the very day on which tastes shift."""
    if not active(spec, "taste_shift", day) or active(spec, "taste_shift", day - 1):
        return needs
    return needs.take(np.flatnonzero(stream(spec.seed, Purpose.SCENARIO, day).random(len(needs)) < 0.5))


def price_factor(spec: SimulationSpec, day: int) -> float:
    """What list prices are multiplied by on `day`."""
    return PRICE_SHOCK if active(spec, "price_shock", day) else 1.0


def as_tracked(spec: SimulationSpec, events: Events, day: int) -> Events:
    """Return the events of a day as the shop's tracking reports them."""
    if not active(spec, "tracking_bug", day):
        return events
    rng = stream(spec.seed, Purpose.SCENARIO, day)
    visits = int(events.session.max(initial=-1)) + 1
    broken = (rng.random(visits) < LOST_CARTS)[events.session]
    tracked = replace(events, anonymous=events.anonymous | broken, placeless=events.placeless | broken)
    return tracked.take(np.flatnonzero(~(broken & (events.kind == CART))))
