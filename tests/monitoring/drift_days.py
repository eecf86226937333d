"""Days of traffic with known distributions, as daily tables, and a real booster that looks at some of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prediction_days import MODEL, PREDICTIONS, REFUSALS, SHOWN

from ml_assets.config.model_spec import DriftSpec, ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.prediction_log import day_folder
from ml_assets.registry.versions import publish_version

FIRST = date(2026, 3, 2)
FEATURES = ("product__price", "customer__orders", "customer__idle", "product__fixed", "product__absent")
"""The booster looks at the first two; the last two are constant and always missing."""

Columns = dict[str, np.ndarray]
Change = Callable[[Columns], None]


def spec_with(**rules: Any) -> ModelSpec:
    monitoring = MODEL.monitoring.model_copy(update={"drift": DriftSpec(**rules)})
    return MODEL.model_copy(update={"monitoring": monitoring})


def publish_booster(settings: Settings, rounds: int = 30) -> str:
    """A version whose scores are made of price and orders; returns its id."""
    import lightgbm

    rng = np.random.default_rng(0)
    x = np.stack([_features(rng, 400, 5)[name] for name in FEATURES], axis=1)
    label = -np.log(x[:, 0]) + 0.8 * np.log1p(x[:, 1])
    params = {"num_leaves": 15, "num_threads": 1, "verbosity": -1, "seed": 7, "min_data_in_leaf": 5}
    data = lightgbm.Dataset(x, label, feature_name=list(FEATURES), params={"feature_pre_filter": False})
    text = lightgbm.train(params, data, num_boost_round=rounds).model_to_string()
    return publish_version(
        settings, MODEL.name, text, "run", features=FEATURES, params={}, training_set="", metrics={}, created_from={}
    ).version


def nth(number: int) -> date:
    return FIRST + timedelta(days=number)


def write_day(
    settings: Settings,
    number: int,
    version: str,
    change: Change = lambda columns: None,
    *,
    customers: int = 80,
    shown: int = 10,
    seed: int = 0,
    reverse: bool = False,
    **values: Any,
) -> None:
    """Publish a usual day, as `change` leaves its columns; `values` are columns of the answers."""
    rng = np.random.default_rng([seed, number])
    day = nth(number)
    time = np.datetime64(datetime(day.year, day.month, day.day, 12), "us")
    who = np.repeat(rng.choice(2000, customers, replace=False), shown)
    columns: Columns = {
        "prediction_id": np.array([f"{day}-{one}" for one in who]), "customer_id": np.array([f"c{one}" for one in who]),
        "time": np.repeat(time, len(who)), "model_version": np.array([version] * len(who)),
        "arm": np.array(["champion"] * len(who)), "position": np.tile(np.arange(1, shown + 1), customers),
        "product_id": rng.integers(300, size=len(who)).astype(str),
        "category_id": np.array([f"g{one}" for one in rng.integers(6, size=len(who))]),
        "score": rng.normal(size=len(who)), **_features(rng, customers, shown),
    }  # fmt: skip
    change(columns)
    folder = day_folder(settings, MODEL.name, day)
    folder.mkdir(parents=True, exist_ok=True)
    rows = slice(None, None, -1) if reverse else slice(None)
    schema = pa.schema(SHOWN | {name: pa.float32() for name in columns if "__" in name})
    _write({name: found[rows] for name, found in columns.items()}, schema, folder / "shown.parquet")
    _write(_answers(columns, values), PREDICTIONS, folder / "predictions.parquet")
    _write({}, REFUSALS, folder / "refusals.parquet")


def _features(rng: np.random.Generator, customers: int, shown: int) -> Columns:
    rows = customers * shown
    return {
        "product__price": np.exp(rng.normal(size=rows)),
        "customer__orders": np.repeat(rng.poisson(2, customers), shown).astype(float),
        "customer__idle": np.repeat(rng.normal(size=customers), shown),
        "product__fixed": np.ones(rows),
        "product__absent": np.full(rows, np.nan),
    }


def _answers(columns: Columns, values: dict[str, Any]) -> Columns:
    _, first = np.unique(columns["prediction_id"], return_index=True)
    taken = {name: columns[name][first] for name in ("prediction_id", "customer_id", "time", "model_version", "arm")}
    said = {
        "session": '[["P1", "view"]]',
        "degraded": [],
        "as_of": columns["time"][0].item(),
        **values,
    }
    listed = {name: [value] * len(first) for name, value in said.items() if not callable(value)}
    return taken | listed | {name: value(len(first)) for name, value in said.items() if callable(value)}


def _write(columns: dict[str, Any], schema: pa.Schema, path: Any) -> None:
    rows = max((len(found) for found in columns.values()), default=0)
    arrays = [
        pa.array(columns[each.name], from_pandas=True).cast(each.type)
        if each.name in columns
        else pa.nulls(rows, each.type)
        for each in schema
    ]
    pq.write_table(pa.table(arrays, schema=schema), path)
