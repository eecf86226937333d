"""When a model is asked: its decisions, the cut through them, and what counts as now."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import duckdb

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.split import Split, split_decisions
from ml_assets.storage import warehouse as reading


def decision_day(spec: ModelSpec) -> str:
    """SQL over the spine: the day of a decision; of a labelled event, the day it happened."""
    return "decision_day" if spec.ranks else f"cast({spec.time} as date)"


def decisions_of(warehouse: duckdb.DuckDBPyConnection, spec: ModelSpec) -> list[date]:
    """Every decision whose labels are complete, oldest first."""
    day = decision_day(spec)
    labelled = "" if spec.ranks else f"where {spec.label} is not null"  # a ranking's spine has no other rows
    found = warehouse.execute(f"select distinct {day} as day from {spec.spine} {labelled} order by day").fetchall()
    return [day for (day,) in found]


def split_now(warehouse: duckdb.DuckDBPyConnection, spec: ModelSpec, newest: date | None = None) -> Split:
    """The cut that a training set built now would have, up to the decision `newest`.

    Raises:
        ValueError: when there are too few decisions, or no events at all.
    """
    decisions = [day for day in decisions_of(warehouse, spec) if newest is None or day <= newest]
    first = _first_day(warehouse, decisions, spec)
    if first is None:
        raise ValueError("the warehouse holds no events yet: ingest some days first")
    return split_decisions(decisions, spec.split, first, spec.horizon_days)


def _first_day(warehouse: duckdb.DuckDBPyConnection, decisions: list[date], spec: ModelSpec) -> date | None:
    """The oldest day with events: of the shop as its counts say, of labelled events their own."""
    if not spec.ranks:
        return decisions[0] if decisions else None
    found = warehouse.execute("select min(event_day) from mart_daily_counts where events > 0").fetchone()
    return found[0] if found else None


def as_of(spec: ModelSpec, settings: Settings, patience_seconds: float = 120.0) -> datetime:
    """Midnight after the newest day the model's data has: "now" for its training, predictions and service.

    Raises:
        WarehouseError: when the warehouse cannot be read, or holds no day.
    """
    if spec.ranks:
        return reading.as_of(settings, patience_seconds)
    with reading.connect(settings, patience_seconds) as warehouse:
        try:
            found = warehouse.execute(f"select max(cast({spec.time} as date)) from {spec.spine}").fetchone()
        except duckdb.CatalogException:
            found = None
    if found is None or found[0] is None:
        raise reading.WarehouseError(f"{settings.warehouse} has no rows in {spec.spine}: ingest {spec.source} first")
    return datetime.combine(found[0], time()) + timedelta(days=1)


def now_of(spec: ModelSpec, settings: Settings) -> datetime:
    """The moment as of which a binary or regression model is asked: what the online store was filled with.

    Features may know days without a labelled event, hence it may lie after `as_of`.

    Raises:
        WarehouseError: when the warehouse cannot be read, or holds no data of the model.
    """
    from feature_repo.declared import SHOP_SERVICES, file_of

    moment, service = as_of(spec, settings), spec.feature_service
    if service in SHOP_SERVICES:
        return moment
    return max(moment, reading.newest_stamp(settings, file_of(service).tables(service)))
