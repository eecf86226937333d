"""The content address of a training set: what of the spec, the data and the code it depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from ml_assets.learning.spec import ModelSpec
from ml_assets.settings import PROJECT

_CODE = (
    "dbt_project/models/**/*.sql",
    "dbt_project/macros/**/*.sql",
    "feature_repo/**/*.py",
    "ml_assets/retrieval/*.py",
    *(f"ml_assets/learning/{name}.py" for name in ("baselines", "dataset", "decisions", "sampling", "split")),
)

TRAINING_CODE = tuple(f"ml_assets/learning/{name}.py" for name in ("ranker", "sampling", "train", "training_set"))
"""The sources that decide what a training set is made into."""

EVALUATION_CODE = (
    *(f"ml_assets/learning/{name}.py" for name in ("bootstrap", "charts", "compare", "evaluate", "evaluation")),
    *(f"ml_assets/learning/{name}.py" for name in ("evidently_report", "metrics", "report")),
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

    Raises:
        duckdb.Error: when the warehouse has not been built.
    """
    tables = {
        "events": ("stg_events", "event_day"),
        "catalogue": ("stg_products", "event_day"),
        "spine": (spec.spine, "decision_day"),
    }
    found = {
        name: _short(repr(warehouse.execute(_CONTENT.format(table=table, day=day), {"until": until}).fetchall()))
        for name, (table, day) in tables.items()
    }
    newest = warehouse.execute(_NEWEST, {"until": until}).fetchone()
    return {**found, "last_event_day": str(newest[0]) if newest else "none"}


def code_version(patterns: Iterable[str] = _CODE, root: Path = PROJECT) -> str:
    """Hash of sources; by default those that decide what a training set holds: SQL, features, retrieval, sampling."""
    files = sorted({file for pattern in patterns for file in root.glob(pattern)})
    return _short(json.dumps([[str(file.relative_to(root)), file.read_text()] for file in files]))


def training_set_address(spec: ModelSpec, data: dict[str, str], code: str) -> str:
    """First 16 hex of the SHA-256 over the spec's part, the data's versions and the code's."""
    parts: Iterable[str] = (
        *("name", "spine", "feature_service", "entity", "item", "time", "label", "truth_grade", "revenue"),
        *("horizon_days", "slices", "retrieval", "split"),
    )
    described: dict[str, Any] = {name: spec.model_dump(mode="json")[name] for name in parts}
    described["training"] = {"negatives": spec.training.negatives, "seed": spec.training.seed}
    return _short(json.dumps([described, data, code], sort_keys=True))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
