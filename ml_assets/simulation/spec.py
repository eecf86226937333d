"""What the `simulation:` part of a shop's YAML may say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

ScenarioName = Literal["price_shock", "taste_shift", "new_category", "tracking_bug"]


class Scenario(BaseModel):
    """A named change of the world: nothing before `day` differs by a byte, everything from `day` on may.

    price_shock: every price is multiplied by 1.6.
    taste_shift: customers' tastes and the popularity of products are reshuffled, half of all habits end.
    new_category: a new category is launched and takes about a quarter of the browsing.
    tracking_bug: most cart events are lost; the same visits report neither session nor country.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: ScenarioName
    day: date = Field(description="first day on which the world is different")


class SimulationSpec(BaseModel):
    """A simulated shop; the default is about one million events over 182 days."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    seed: int = Field(default=7, ge=0, le=2**31 - 1, description="same seed, same bytes")
    start: date = Field(
        default=date(2026, 1, 1),
        ge=date(1970, 1, 1),
        lt=date(2200, 1, 1),
        description="first day; a Thursday by default",
    )
    days: int = Field(default=182, ge=1, le=36_500, description="days that make up the shop's history; more can follow")
    customers: int = Field(
        default=20_000, ge=10, le=100_000_000, description="registered customers, present and to come"
    )
    dormant_share: float = Field(default=0.38, ge=0, lt=1, description="registered, but never visit")
    products: int = Field(default=2_000, ge=40, le=80_000, description="products launched in the first year")
    categories: int = Field(default=40, ge=2, le=200)
    segments: int = Field(default=12, ge=1, le=1000, description="groups of customers with similar tastes")
    events_per_day: float = Field(default=5_500.0, gt=0, le=1e9, description="mean number of events on a day")
    dirty_share: float = Field(default=0.005, ge=0, le=0.5, description="share of unusable event rows")
    late_share: float = Field(default=0.01, ge=0, le=0.5, description="events that arrive 1-3 days later")
    scenario: Scenario | None = Field(default=None, description="a change of the world on a chosen day")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.products < 4 * self.categories:
            raise ValueError(
                f"products: {self.products} are too few for {self.categories} categories; "
                f"ask for at least {4 * self.categories} products or fewer categories"
            )
        if self.scenario and self.scenario.day < self.start:
            raise ValueError(f"scenario.day: {self.scenario.day} lies before start {self.start}; choose a later day")
        return self

    @property
    def end(self) -> date:
        """Last day of the history, inclusive."""
        return self.start + timedelta(days=self.days - 1)

    def scaled(self, factor: float) -> SimulationSpec:
        """Return the same shop, days and products with `factor` times the customers and events."""
        if factor <= 0:
            raise ValueError(f"factor: {factor} must be positive")
        customers = max(10, round(self.customers * factor))
        changed = {"customers": customers, "events_per_day": self.events_per_day * factor}
        return self.model_validate({**dict(self), **changed})

    def number_of(self, day: date) -> int:
        """Days since `start`; raises ValueError for a day before it."""
        number = (day - self.start).days
        if number < 0:
            raise ValueError(f"day {day} lies before the shop's first day {self.start}; ask for a later day")
        return number


def read_simulation(section: Mapping[str, Any]) -> SimulationSpec:
    """Read the `simulation:` section of a shop's YAML (its dates may be YAML dates or ISO text).

    Raises:
        pydantic.ValidationError: naming each wrong key.
    """
    return SimulationSpec.model_validate_json(json.dumps(section, default=str))
