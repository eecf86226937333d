"""Lines of the service's log, and what became of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.config.model_spec import ModelSpec, MonitoringSpec, QualitySpec
from ml_assets.config.settings import Settings
from ml_assets.prediction_log import Kind, part_files
from ml_assets.storage.log_layout import log_folder

NAME = "ranker"
DAY = datetime(2026, 3, 2)
FEATURES = {"one": ("retrieval__own", "product__price"), "two": ("product__price", "customer__orders", "x__y")}


def spec(outcomes: str = "feedback", minutes: int = 60) -> ModelSpec:
    quality = QualitySpec(outcomes=outcomes, attribution_minutes=minutes)
    return ModelSpec(
        name=NAME, description="Ranks in tests.", spine="spine", feature_service="features",
        monitoring=MonitoringSpec(quality=quality),
    )  # fmt: skip


def prediction(name: str, hour: float = 12.0, *, features: str | None = "one", **changes: Any) -> dict[str, Any]:
    """An answer of two products; feature values tell name and place: number + 0.25 * row + column."""
    time = (DAY + timedelta(hours=hour)).isoformat() + "+00:00"
    number = int("".join(filter(str.isdigit, name)) or 0)
    products = changes.pop("products", ["p1", "p2"])
    count = len(products)
    names = FEATURES[features] if features else ()
    matrix = [[None if column == 1 else number + 0.25 * row + column for column in range(len(names))]
              for row in range(count)]  # fmt: skip
    return {
        "kind": "prediction", "prediction_id": name, "time": time, "logged_at": time, "as_of": DAY.isoformat(),
        "model_version": "v1", "index": "0" * 12, "arm": "champion", "release_id": None, "customer": "u1",
        "customer_known": True, "k": count, "session": [["p9", "view"]], "candidates": None, "ranked": 200,
        "products": products, "categories": ["c1"] * count, "positions": list(range(1, count + 1)),
        "scores": [-float(row) for row in range(count)], "propensities": [1.0] * count,
        "sources": [["own", "popular"]] * count, "features_id": features, "features": matrix if features else [],
        "unknown_products": [], "degraded": [], "served_by": "bento:1/77", "latency_ms": 3.5, **changes,
    }  # fmt: skip


def event_spec(**changes: Any) -> ModelSpec:
    """A model that predicts the labels of `mart_events`, under the same name."""
    return ModelSpec(
        name=NAME, description="Predicts in tests.", task="binary", spine="mart_events", feature_service="features",
        entity="event_id", time="happened_at", label="label", request_features=("size",), horizon_days=2, **changes,
    )  # fmt: skip


def event(name: str, hour: float = 12.0, *, features: str | None = "one", **changes: Any) -> dict[str, Any]:
    """A predicted event; feature values tell its name: number + column."""
    said = prediction(name, hour, features=features, products=["p"])
    ours = {"kind", "prediction_id", "time", "logged_at", "as_of", "model_version", "arm", "release_id", "features_id",
            "features", "degraded", "served_by", "latency_ms"}  # fmt: skip
    own = {"event": f"e-{name}", "keys": {"place": "here"}, "request": {"size": 2.5}, "known": True, "probability": 0.3}
    return {**{key: value for key, value in said.items() if key in ours}, **own, **changes}


def outcome(name: str, product: str = "p1", event_type: str = "click", hour: float = 13.0) -> dict[str, Any]:
    time = (DAY + timedelta(hours=hour)).isoformat() + "+00:00"
    return {
        "kind": "outcome", "prediction_id": name, "product": product, "event_type": event_type, "time": time,
        "logged_at": time,
    }  # fmt: skip


def refusal(status: int = 503, hour: float = 12.0) -> dict[str, Any]:
    time = (DAY + timedelta(hours=hour)).isoformat() + "+00:00"
    return {"kind": "refusal", "time": time, "status": status, "latency_ms": 1.0, "error": "no"}


def dump(*records: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


@dataclass
class Log:
    """The folder of the service's segments, with the names of both feature sets beside them."""

    settings: Settings
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = log_folder(self.settings, NAME)
        self.folder.mkdir(parents=True, exist_ok=True)
        for features_id, names in FEATURES.items():
            (self.folder / f"features-{features_id}.json").write_text(json.dumps(names))

    def write(self, *records: dict[str, Any], segment: str = "20260302T000000000000-999999999") -> Path:
        path = self.folder / f"{segment}.jsonl"
        with path.open("ab") as opened:
            opened.write(dump(*records))
        return path

    def rows(self, kind: Kind) -> list[dict[str, Any]]:
        """What the parts hold of a kind, by segment and line."""
        tables = [pq.read_table(path) for path in part_files(self.settings, NAME, kind)]
        found = pa.concat_tables(tables, promote_options="default").to_pylist() if tables else []
        return sorted(found, key=lambda row: (row["segment"], row["line"], row.get("position", 0)))

    def ids(self) -> list[str]:
        return [row["prediction_id"] for row in self.rows(Kind.PREDICTIONS)]
