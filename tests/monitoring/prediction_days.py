"""Daily tables of predictions as the prediction log publishes them, written row by row."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.prediction_log import day_folder

MODEL = ModelSpec(
    name="ranker",
    description="Ranks products in tests.",
    spine="mart_recommendation_spine",
    feature_service="product_recommender",
)
FEEDBACK = MODEL.model_copy(
    update={
        "monitoring": MODEL.monitoring.model_copy(
            update={"quality": MODEL.monitoring.quality.model_copy(update={"outcomes": "feedback"})}
        )
    }
)
MONDAY = date(2026, 3, 2)
US = pa.timestamp("us")
STRINGS = pa.list_(pa.string())

PREDICTIONS = pa.schema(
    {
        "prediction_id": pa.string(), "time": US, "logged_at": US, "as_of": US, "model_version": pa.string(),
        "index": pa.string(), "arm": pa.string(), "release_id": pa.string(), "customer_id": pa.string(),
        "customer_known": pa.bool_(), "k": pa.int32(), "session": pa.string(), "candidates": STRINGS,
        "ranked": pa.int32(), "degraded": STRINGS, "unknown_products": STRINGS, "served_by": pa.string(),
        "latency_ms": pa.float64(),
    }
)  # fmt: skip
SHOWN = {
    "prediction_id": pa.string(), "time": US, "model_version": pa.string(), "arm": pa.string(),
    "customer_id": pa.string(), "position": pa.int32(), "product_id": pa.string(), "category_id": pa.string(),
    "score": pa.float32(), "propensity": pa.float64(), "sources": STRINGS, "clicked": pa.bool_(),
    "carted": pa.bool_(), "purchased": pa.bool_(),
}  # fmt: skip
REFUSALS = pa.schema({"time": US, "status": pa.int32(), "latency_ms": pa.float64(), "error": pa.string()})


@dataclass
class Day:
    """A day's rows; `write` publishes them."""

    day: date
    predictions: list[dict[str, Any]] = field(default_factory=list)
    shown: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[dict[str, Any]] = field(default_factory=list)

    def answer(
        self,
        customer: str = "u1",
        products: tuple[str, ...] = ("p1", "p2", "p3"),
        *,
        clicked: tuple[int, ...] = (),
        purchased: tuple[int, ...] = (),
        hour: float = 12.0,
        features: list[dict[str, float | None]] | None = None,
        categories: list[str] | None = None,
        **changes: Any,
    ) -> None:
        """One answer and what was shown; `clicked` and `purchased` are positions from 1."""
        number = len(self.predictions)
        answer: dict[str, Any] = {
            "prediction_id": f"{self.day}-{number:06d}", "as_of": datetime(*self.day.timetuple()[:3]),
            "time": datetime(*self.day.timetuple()[:3]) + timedelta(hours=hour), "model_version": "v1",
            "index": "0" * 12, "arm": "champion", "customer_id": customer, "customer_known": True, "k": len(products),
            "session": "[]", "ranked": 200, "degraded": [], "unknown_products": [], "served_by": "bento:1/77",
            "latency_ms": 5.0, **changes,
        }  # fmt: skip
        self.predictions.append({"logged_at": answer["time"], **answer})
        taken = {name: answer[name] for name in ("prediction_id", "time", "model_version", "arm", "customer_id")}
        for at, product in enumerate(products):
            self.shown.append(
                taken | {
                    "position": at + 1, "product_id": product, "score": -float(at), "propensity": 1.0,
                    "category_id": categories[at] if categories else "c1", "sources": ["popular"],
                    "clicked": at + 1 in clicked or at + 1 in purchased, "carted": False,
                    "purchased": at + 1 in purchased, **(features[at] if features else {}),
                }
            )  # fmt: skip

    def refuse(self, status: int, hour: float = 12.0) -> None:
        """One refused request."""
        time = datetime(*self.day.timetuple()[:3]) + timedelta(hours=hour)
        self.refusals.append({"time": time, "status": status, "latency_ms": 1.0, "error": "no"})

    def write(self, settings: Settings, model: str = MODEL.name) -> Day:
        """Publish the three tables."""
        folder = day_folder(settings, model, self.day)
        folder.mkdir(parents=True, exist_ok=True)
        features = sorted({name for row in self.shown for name in row if "__" in name})
        shown = pa.schema(SHOWN | {name: pa.float32() for name in features})
        tables = (("predictions", self.predictions, PREDICTIONS), ("shown", self.shown, shown))
        for name, rows, schema in (*tables, ("refusals", self.refusals, REFUSALS)):
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / f"{name}.parquet")
        return self


def traffic(settings: Settings, number: int, clicked: int, *, answers: int = 200, version: str = "v1") -> Day:
    """A day after MONDAY with so many answers of so many customers, of which some are clicked."""
    day = Day(MONDAY + timedelta(number))
    for at in range(answers):
        day.answer(f"u{at * 7 % answers}", clicked=(1 + at % 3,) if at < clicked else (), model_version=version)
    return day.write(settings)
