"""Who comes to the shop on a day, and when."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from ml_assets.simulation.needs import Needs
from ml_assets.simulation.randomness import Floats, Ints, Purpose, stream
from ml_assets.simulation.spec import SimulationSpec
from ml_assets.simulation.world import World

EVENTS_PER_VISIT = 8.0
"""Measured on the default spec; turns events per day into visits per day."""
WEEK = np.array([0.96, 0.90, 0.92, 0.98, 1.08, 1.14, 1.02])
"""Factor on visits from Monday to Sunday."""
_HOURS = np.array(
    [6, 4, 3, 2, 2, 4, 10, 22, 34, 40, 44, 48, 56, 50, 44, 42, 46, 56, 70, 86, 90, 70, 40, 16],
    dtype=np.float64,
)
_WEEKEND_HOURS = np.roll(_HOURS, 1) * np.where((np.arange(24) > 9) & (np.arange(24) < 17), 1.5, 1.0)


def season(spec: SimulationSpec, day: int) -> float:
    """Factor on visits by day of the week and of the year; its mean over years is one."""
    today = spec.start + timedelta(days=day)
    yearly = 1 + 0.08 * np.cos(2 * np.pi * (today.timetuple().tm_yday - 340) / 365.25)
    return float(WEEK[today.weekday()] * yearly)


def draw_visitors(spec: SimulationSpec, world: World, needs: Needs, day: int) -> Ints:
    """Draw the customers who visit on `day`, ascending, one visit each.

    The expected number of visits follows `spec.events_per_day` and the season, whoever has joined or left;
    customers who need something come more often.
    """
    rng = stream(spec.seed, Purpose.VISITS, day)
    customers = world.customers
    owner = needs.key // len(world.products.category)
    wanting = np.bincount(owner, weights=needs.urgency(day), minlength=len(customers.rate))
    present = np.where(day >= customers.join, np.where(day < customers.leave, 1.0, 0.05), 0.0)
    weight = customers.rate * present * (0.5 + 1.5 * np.minimum(wanting, 2.0))
    wanted = spec.events_per_day / EVENTS_PER_VISIT * season(spec, day)
    chance = 1 - np.exp(-_intensity(weight, wanted) * weight)
    return np.flatnonzero(rng.random(len(chance)) < chance)


def _intensity(weight: Floats, wanted: float) -> float:
    """Solve for the factor at which the visits expected are the visits wanted, as far as possible."""
    total = float(weight.sum())
    if total <= 0:
        return 0.0
    factor = wanted / total
    for _ in range(4):
        expected = float((1 - np.exp(-factor * weight)).sum())
        factor = min(factor * wanted / expected, 50 * wanted / total)
    return factor


def draw_starts(spec: SimulationSpec, visits: int, day: int, rng: np.random.Generator) -> Ints:
    """Draw the second of the day at which each visit starts."""
    weekend = (spec.start + timedelta(days=day)).weekday() >= 5
    hours = _WEEKEND_HOURS if weekend else _HOURS
    mass = np.cumsum(hours / hours.sum())
    hour = np.minimum(np.searchsorted(mass, rng.random(visits), side="right"), 23)
    return np.asarray(hour * 3600 + rng.integers(0, 3600, visits), dtype=np.int64)
