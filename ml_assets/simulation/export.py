"""Clean events and catalogue changes as the text columns of a shop's export."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_assets.simulation.events import KINDS, Events
from ml_assets.simulation.market import Market
from ml_assets.simulation.randomness import Bools, Ints
from ml_assets.simulation.spec import SimulationSpec
from ml_assets.simulation.world import COUNTRIES, World, product_names

EVENT_COLUMNS = (
    "event_id",
    "ts",
    "customer_id",
    "product_id",
    "event_type",
    "session_id",
    "quantity",
    "price",
    "country",
)
PRODUCT_COLUMNS = ("product_id", "name", "category", "price", "available", "changed_at")


def text_schema(columns: tuple[str, ...]) -> pa.Schema:
    """All columns are text: the contract has to make sense of them."""
    return pa.schema([(name, pa.string()) for name in columns])


class Exporter:
    """Writes numbers as the shop's identifiers; holds the identifiers so that each is spelled once."""

    def __init__(self, spec: SimulationSpec, world: World) -> None:
        self._start = datetime.combine(spec.start, datetime.min.time())
        self.customers = pa.array([f"C{n:06d}" for n in range(len(world.customers.rate))], pa.string())
        self.products = pa.array([f"P{n:05d}" for n in range(len(world.products.category))], pa.string())
        self._names = pa.array(product_names(world), pa.string())
        names = pa.array(world.categories.names, pa.string())
        self._category_of = names.take(pa.array(world.products.category))
        self._countries = pa.array([*COUNTRIES, ""], pa.string()).take(pa.array(world.customers.country))

    def events(self, events: Events) -> pa.Table:
        """Return events as text, in the given order; times are ISO 8601 in UTC without an offset."""
        day = self._days(events.day, "%Y%m%d")
        country = self._countries.take(pa.array(events.customer))
        columns = [
            _joined(day, _number(events.number), "-"),
            self._times(events.day, events.second),
            self.customers.take(pa.array(events.customer)),
            self.products.take(pa.array(events.product)),
            pa.array(KINDS, pa.string()).take(pa.array(events.kind)),
            _unless(events.anonymous, _joined(_joined("S", day, ""), _number(events.session), "-")),
            pc.cast(pa.array(events.quantity), pa.string()),
            _price(events.cents),
            _unless(events.placeless, country),
        ]
        return pa.table(columns, schema=text_schema(EVENT_COLUMNS))

    def catalogue(self, market: Market, rows: Ints) -> pa.Table:
        """Return one row per changed product, as it is from the midnight that begins the day."""
        at = pa.array(rows)
        columns = [
            self.products.take(at),
            self._names.take(at),
            self._category_of.take(at),
            _price(market.cents[rows]),
            pa.array(np.where(market.available[rows], "true", "false").tolist(), pa.string()),
            self._times(np.full(len(rows), market.day), np.zeros(len(rows), dtype=np.int64)),
        ]
        return pa.table(columns, schema=text_schema(PRODUCT_COLUMNS))

    def _days(self, day: Ints, form: str) -> pa.Array:
        numbers, row = np.unique(day, return_inverse=True)
        spelled = [(self._start + timedelta(days=int(n))).strftime(form) for n in numbers]
        return pa.array(spelled, pa.string()).take(pa.array(row))

    def _times(self, day: Ints, second: Ints) -> pa.Array:
        return _joined(self._days(day, "%Y-%m-%d"), _clock().take(pa.array(second)), "T")


@cache
def _clock() -> pa.Array:
    """Each second of a day, spelled once; not at import, where pyarrow would pull in pandas."""
    return pa.array([f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400)], pa.string())


@cache
def _hundredths() -> pa.Array:
    return pa.array([f"{cents:02d}" for cents in range(100)], pa.string())


def _number(values: Ints) -> pa.Array:
    return pc.utf8_lpad(pc.cast(pa.array(values), pa.string()), width=7, padding="0")


def _joined(left: pa.Array | str, right: pa.Array, by: str) -> pa.Array:
    return pc.binary_join_element_wise(left, right, by)


def _price(cents: Ints) -> pa.Array:
    whole = pc.cast(pa.array(cents // 100), pa.string())
    return _joined(whole, _hundredths().take(pa.array(cents % 100)), ".")


def _unless(missing: Bools, values: pa.Array) -> pa.Array:
    return pc.if_else(pa.array(missing), pa.scalar(None, pa.string()), values)
