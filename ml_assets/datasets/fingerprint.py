"""The content address of a training set: what of the spec and the data it depends on."""

from __future__ import annotations

import hashlib
import json
from datetime import date, timedelta
from typing import Any

import duckdb

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.renamed import RENAMED, first_names

_CONTENT = """
select count(*) as rows, coalesce(sum(hash(content)), 0)::varchar as hashes
from {table} as content
where {day} < $until
"""

_NEWEST = "select max(event_day) from mart_daily_counts where event_day < $until"


def data_versions(warehouse: duckdb.DuckDBPyConnection, spec: ModelSpec, until: date) -> dict[str, str]:
    """Versions of the data before `until`: content hashes of events, catalogue and spine, the last day.

    Of a binary or regression model: of the spine and of the tables its features come from.

    Of the spine only decisions whose label is complete by then: the same ones, however far the warehouse has gone on.

    Raises:
        duckdb.Error: when the warehouse has not been built.
    """
    decided = until - timedelta(days=spec.horizon_days - 1)
    if not spec.ranks:
        return _labelled_versions(warehouse, spec, decided)
    tables = {
        "events": ("stg_events", "event_day", until),
        "catalogue": ("stg_products", "event_day", until),
        "spine": (spec.spine, "decision_day", decided),
    }
    found = {
        name: _short(repr(warehouse.execute(_CONTENT.format(table=table, day=day), {"until": before}).fetchall()))
        for name, (table, day, before) in tables.items()
    }
    newest = warehouse.execute(_NEWEST, {"until": until}).fetchone()
    return {**found, "last_event_day": str(newest[0]) if newest else "none"}


def _labelled_versions(warehouse: duckdb.DuckDBPyConnection, spec: ModelSpec, until: date) -> dict[str, str]:
    """Hashes of spine and feature tables, of what was known before `until`."""
    from feature_repo.declared import SHOP_SERVICES, file_of

    service = spec.feature_service
    if service in SHOP_SERVICES:
        tables = {"stg_events": "event_day", "stg_products": "event_day"}
    else:
        tables = dict.fromkeys(file_of(service).tables(service), "cast(event_timestamp as date)")
    tables |= {spec.spine: f"cast({spec.time} as date)"}
    return {
        table: _short(repr(warehouse.execute(_CONTENT.format(table=table, day=day), {"until": until}).fetchall()))
        for table, day in tables.items()
    }


def described(spec: ModelSpec) -> dict[str, Any]:
    """What of the spec a training set depends on, as JSON values; each key by its first name."""
    parts = (
        *("name", "task", "spine", "feature_service", "entity", "item", "time", "label", "truth_grade", "revenue"),
        *("request", "known_after", "cluster", "horizon_days", "slices", "retrieval", "split"),
    )
    said = first_names(spec.model_dump(mode="json", include={*parts, *RENAMED.values()}))
    training = {"negatives": spec.training.negatives, "seed": spec.training.seed}
    return {**{name: said[name] for name in parts}, "training": training}


def training_set_address(spec: ModelSpec, data: dict[str, str], code: str) -> str:
    """First 16 hex of the SHA-256 over the spec's part, the data's versions and the code's."""
    return _short(json.dumps([described(spec), data, code], sort_keys=True))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
