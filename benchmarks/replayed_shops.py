"""The shops that `benchmarks.detection` lives through: healthy for weeks, and with each scenario from one day on.

A shop that was lived through stays in its folder, so that thresholds can be judged again in minutes.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import get_args

import duckdb

from benchmarks.replay import Life, live, serve, train_version
from ml_assets.config.model_spec import ModelSpec
from ml_assets.registry.versions import VersionRef
from ml_assets.simulation import Scenario, SimulationSpec
from ml_assets.simulation.spec import ScenarioName
from ml_assets.storage.files import write_text_atomically

SCENARIOS: tuple[ScenarioName, ...] = get_args(ScenarioName)
HEALTHY = "healthy"
WARM = 74
"""Days before the first answer: ten weeks and the days up to their Monday, enough to train on."""
CHAMPION_WEEKS = 5
"""A champion serves so long: `retraining.max_age_days`."""
CHANGE_WEEKS = 5
"""Weeks of traffic before the world changes."""
SCENARIO_DAYS = 3
SIZES = (
    {"customers": 4000, "events_per_day": 1500.0, "products": 600, "categories": 20},
    {"customers": 6000, "events_per_day": 2000.0, "products": 800, "categories": 24},
    {"customers": 8000, "events_per_day": 3000.0, "products": 1000, "categories": 24},
)
OF_EACH = (6, 3, 1)
"""Shops of each size, of ten."""


@dataclass(frozen=True)
class ShopPlan:
    """One shop: where, which, and for how many weeks of answers."""

    home: Path
    simulation: SimulationSpec
    weeks: int

    @property
    def name(self) -> str:
        """Seed and size."""
        return f"{self.simulation.seed} ({self.simulation.events_per_day:,.0f} events a day)"

    @property
    def change(self) -> int:
        """Number of the day on which the world changes: another weekday in each shop."""
        return WARM + 7 * min(CHANGE_WEEKS, self.weeks - 1) + self.simulation.seed % 7

    def life(self, name: str, spec: ModelSpec) -> Life:
        """The shop with this future."""
        simulation = self.simulation
        if name != HEALTHY:
            day = simulation.start + timedelta(days=self.change)
            simulation = simulation.model_copy(update={"scenario": Scenario.model_validate({"name": name, "day": day})})
        return Life(self.home / name, simulation, spec)

    def days(self, name: str) -> range:
        """Numbers of the days that are judged."""
        if name == HEALTHY:
            return range(WARM, WARM + 7 * self.weeks)
        return range(self.change, self.change + SCENARIO_DAYS)

    @property
    def mark(self) -> Path:
        """There once everything was lived through; says what."""
        return self.home / "lived.json"

    @property
    def said(self) -> str:
        """What `mark` holds."""
        said = [self.simulation.model_dump(mode="json"), self.weeks, SCENARIOS, SCENARIO_DAYS, WARM, CHAMPION_WEEKS]
        return json.dumps(said)

    @property
    def lived(self) -> bool:
        """Whether this plan was carried out."""
        return self.mark.exists() and self.mark.read_text() == self.said


def plans(home: Path, shops: int, weeks: int) -> list[ShopPlan]:
    """Shops of all sizes, the sizes in turn by `OF_EACH`."""
    sizes = [size for size, count in zip(SIZES, OF_EACH, strict=True) for _ in range(count)]
    spread = [sizes[(3 * number) % len(sizes)] for number in range(shops)]  # few shops are of all sizes too
    return [
        ShopPlan(home / f"shop-{number + 1:02d}", SimulationSpec.model_validate({**size, "seed": number + 1}), weeks)
        for number, size in enumerate(spread)
    ]


def live_through(plan: ShopPlan, spec: ModelSpec) -> str:
    """Live the shop's healthy weeks, and each scenario from its day on; returns one line about it."""
    if plan.lived:
        return f"shop {plan.name}: lived through before"
    began = time.monotonic()
    shutil.rmtree(plan.home, ignore_errors=True)
    healthy, end = plan.life(HEALTHY, spec), plan.days(HEALTHY).stop
    live(healthy, healthy.day(0), healthy.day(plan.change - 1))
    answers = _serve(healthy, range(WARM, plan.change))
    _version(healthy, plan.change)
    for name in SCENARIOS:
        changed = plan.life(name, spec)
        shutil.copytree(healthy.home, changed.home)
        live(changed, changed.day(plan.change), changed.day(plan.days(name).stop - 1))
        answers += _serve(changed, plan.days(name))
        _slim(changed)
    live(healthy, healthy.day(plan.change), healthy.day(end - 1))
    answers += _serve(healthy, range(plan.change, end))
    _slim(healthy)
    write_text_atomically(plan.mark, plan.said)
    return f"shop {plan.name}: {answers:,} answers in {time.monotonic() - began:.0f} s"


def _serve(life: Life, days: range) -> int:
    """Serve week by week with the champion of the time."""
    answers = 0
    for start in range(WARM, days.stop, 7 * CHAMPION_WEEKS):
        mine = range(max(start, days.start), min(start + 7 * CHAMPION_WEEKS, days.stop))
        if mine:
            answers += serve(life, _version(life, mine.start), [life.day(number) for number in mine])
    return answers


def _version(life: Life, day: int) -> VersionRef:
    """The champion of a day: the worlds that change on it share it."""
    weeks = 7 * CHAMPION_WEEKS
    return train_version(life, life.day(WARM + (day - WARM) // weeks * weeks))


KEPT = {
    "stg_events": "event_day, customer_id, product_id",
    "stg_products": "event_day, changed_at, product_id, category_id",
    "mart_daily_counts": "event_day",
}
"""What watching reads of the warehouse."""


def _slim(life: Life) -> None:
    """Keep what watching needs: the lake, the model's home, and a little of the warehouse."""
    full = life.settings.warehouse
    slim = full.with_name("slim.duckdb")
    with duckdb.connect(str(slim)) as connection:
        connection.execute(f"attach '{full}' as warehouse (read_only)")
        for table, columns in KEPT.items():
            connection.execute(f"create table {table} as select {columns} from warehouse.{table}")
        connection.execute("detach warehouse")
    slim.replace(full)
    for folder in (life.settings.landing, life.settings.shop_home / "dbt"):
        shutil.rmtree(folder, ignore_errors=True)
    training_sets = life.settings.model_home(life.spec.name) / "training_sets"
    shutil.rmtree(training_sets, ignore_errors=True)
