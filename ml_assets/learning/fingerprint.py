"""The content address of a training set: what of the spec, the data and the code it depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

from ml_assets.learning.spec import ModelSpec
from ml_assets.settings import PROJECT

DATA_CODE = (
    "dbt_project/models/**/*.sql",
    "dbt_project/macros/**/*.sql",
    "feature_repo/**/*.py",
    "feature_repo/features/*.yaml",
    "ml_assets/retrieval/*.py",
    *(f"ml_assets/learning/{name}.py" for name in ("baselines", "dataset", "decisions", "sampling", "split")),
    *(f"ml_assets/learning/{name}.py" for name in ("calendar", "labelled_set", "simple_baselines")),
)
"""The sources that decide what a training set holds: SQL, features, retrieval, sampling."""

TRAINING_CODE = tuple(
    f"ml_assets/learning/{name}.py"
    for name in ("metrics", "ranker", "row_metrics", "sampling", "train", "training_set", "validation")
)
"""The sources that decide what a training set is made into."""

EVALUATION_CODE = (
    *(f"ml_assets/learning/{name}.py" for name in ("bootstrap", "charts", "compare", "contenders", "evaluate")),
    *(f"ml_assets/learning/{name}.py" for name in ("judged_lists", "judged_rows", "row_charts", "row_metrics")),
    *(f"ml_assets/learning/{name}.py" for name in ("evaluation", "evidently_report", "metrics", "report")),
    "ml_assets/learning/templates/*",
)
"""The sources that decide how a version is judged and shown."""

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


def code_version(patterns: Iterable[str] = DATA_CODE, root: Path = PROJECT) -> str:
    """Hash of the sources that match; by default those that decide what a training set holds."""
    return _short(json.dumps([[name, file.read_text()] for name, file in _files(patterns, root)]))


def sources(patterns: Iterable[str] = DATA_CODE, root: Path = PROJECT) -> dict[str, str]:
    """Each matching source (relative path) with a short hash of its text: tells later which of them changed."""
    return {name: _short(file.read_text())[:8] for name, file in _files(patterns, root)}


def _files(patterns: Iterable[str], root: Path) -> list[tuple[str, Path]]:
    files = sorted({file for pattern in patterns for file in root.glob(pattern)})
    return [(str(file.relative_to(root)), file) for file in files]


def described(spec: ModelSpec) -> dict[str, Any]:
    """What of the spec a training set depends on, as JSON values."""
    parts = (
        *("name", "task", "spine", "feature_service", "entity", "item", "time", "label", "truth_grade", "revenue"),
        *("request", "known_after", "cluster", "horizon_days", "slices", "retrieval", "split"),
    )
    said = spec.model_dump(mode="json", include=set(parts))
    training = {"negatives": spec.training.negatives, "seed": spec.training.seed}
    return {**{name: said[name] for name in parts}, "training": training}


def training_set_address(spec: ModelSpec, data: dict[str, str], code: str) -> str:
    """First 16 hex of the SHA-256 over the spec's part, the data's versions and the code's."""
    return _short(json.dumps([described(spec), data, code], sort_keys=True))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
