"""A project of its own: a copy of this one with a bakery beside the shop; YAML and SQL, and generated sales."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from project_copy import copy_project

FIRST, DAYS = dt.date(2025, 1, 1), 60
PORT_OFFSET = 20  # as MODEL says
SOURCE = """
name: bakery
description: What a bakery sold, a row per item, shop and day.
calendar: {calendar}
tables:
  sales:
    description: One row per item, shop and day.
{address}
    key: [sale_id]
    time: {{column: sold_at}}
    columns:
      sale_id: {{from: sale_id, type: VARCHAR, description: identifies the row}}
      sold_at: {{from: day, type: TIMESTAMP, description: the day, unit: local time}}
      item: {{from: item, type: VARCHAR, description: what was sold}}
      price: {{from: price, type: DOUBLE, description: price of one, above: 0}}
      warmth: {{from: warmth, type: DOUBLE, description: forecast, unit: degrees Celsius}}
      sold: {{from: sold, type: DOUBLE, description: pieces where counted yet, min: 0, nullable: true}}
    max_quarantine_share: 0.01
    traffic: {{enabled: false}}
"""
FEATURES = """
entities:
  item: {key: item, description: Something the bakery sells.}
views:
  item_sales:
    table: feat_item_sales
    entities: [item]
    description: How well an item sold until yesterday.
    features: {days_sold: int, mean_sold: float}
services:
  demand: {views: [item_sales], description: Features of the model demand.}
"""
MODEL = """
type: ml_assets.components.TrainedModel
attributes:
  name: demand
  description: How many pieces of an item will be sold in a day.
  task: regression
  source: bakery
  spine: mart_sales
  feature_service: demand
  entity: sale_id
  time: opens_at
  label: sold
  request_features: [price, warmth]
  post_outcome_columns: [left_over]
  bootstrap_unit: event_day
  horizon_days: 1
  slices: [item]
  split: {train: 30, validation: 6, test: 10, holdout: 4, warmup_days: 3}
  tuning: {trials: 2, rounds: 30}
  training: {rounds: 200, early_stopping: 20, params: {min_data_in_leaf: 5, feature_fraction: 1.0}} # of four features
  serving: {port_offset: 20}
  gate: {draws: 200, slice_tolerance: 1.0}
"""
DBT = {
    "sources.yml": """
sources:
  - name: bakery
    tables:
      - name: sales
        config:
          external_location: >-
            read_parquet('{{ env_var('ML_ASSETS_LAKE') }}/{name}/*/*.parquet', hive_partitioning = true)
""",
    "mart_sales.sql": """
select sale_id, cast(event_day as timestamp) as opens_at, cast(event_day as date) as event_day,
    item, price, warmth, sold, 100 - sold as left_over
from {{ source('bakery', 'sales') }}
where {{ in_range() }}
""",
    "mart_sales.yml": """
models:
  - name: mart_sales
    description: One row per item, shop and day, asked when the shop opens.
    columns:
      - {name: sale_id, description: Identity}
      - {name: opens_at, description: When the shop opens}
      - {name: event_day, description: The day}
      - {name: item, description: What was sold}
      - {name: price, description: Price of one}
      - {name: warmth, description: Forecast (degrees Celsius)}
      - {name: sold, description: The label (pieces)}
      - {name: left_over, description: What was left in the evening (pieces)}
""",
    "feat_item_sales.sql": """
select item, cast(event_day as date) as event_day, {{ known_at('cast(event_day as date)') }} as event_timestamp,
    count(*) over past as days_sold, avg(sold) over past as mean_sold
from {{ source('bakery', 'sales') }}
where event_day <= {{ end_day() }}
window past as (partition by item order by event_day range between unbounded preceding and current row)
qualify {{ in_range() }} and row_number() over (partition by item, event_day order by sale_id) = 1
""",
    "feat_item_sales.yml": """
models:
  - name: feat_item_sales
    description: One row per item and day, known the day after.
""",
}


ONE_FILE = "    address: '{project}/sales.parquet'\n    day: try_cast(day as date)"
BY_DAY = "    address: '{project}/sales/{day}.parquet'"


def make_project(folder: Path) -> Path:
    """Copy the project to `folder` and put the bakery beside the shop, with its sales; returns the folder."""
    last = FIRST + dt.timedelta(days=DAYS - 1)
    open_bakery(copy_project(folder), SOURCE.format(calendar=f"{{start: {FIRST}, end: {last}}}", address=ONE_FILE))
    write_sales(folder / "sales.parquet", [FIRST + dt.timedelta(days=number) for number in range(DAYS)])
    return folder


def open_bakery(folder: Path, source: str) -> None:
    """Put the bakery with this source beside the shop of a copy, without any sales."""
    files = {
        "sources/bakery.yaml": source,
        "feature_repo/features/bakery.yaml": FEATURES,
        "ml_assets/defs/models/demand/defs.yaml": MODEL,
        **{f"dbt_project/models/bakery/{name}": text for name, text in DBT.items()},
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.lstrip())


def write_sales(path: Path, days: Sequence[dt.date], shops: int = 6, *, counted: bool = True) -> None:
    """Sales that depend on the item and, for some items, on warmth and price together; counted in the evening."""
    rows = []
    for day in days:
        rng = np.random.default_rng(day.toordinal())
        for shop in range(shops):
            for at, item in enumerate(("roll", "cake", "ice")):
                warmth, price = float(rng.uniform(0, 30)), float(rng.choice([2.0, 3.0]))
                wanted = (20, 8, 2)[at] + (warmth if at == 2 else 0) * (1.5 if price == 2.0 else 0.5)
                sold = max(round(wanted + rng.normal()), 0)
                rows.append(
                    [f"{day}-{shop}-{item}", str(day), item, str(price), str(warmth), str(sold) if counted else None]
                )
    names = ("sale_id", "day", "item", "price", "warmth", "sold")
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, names=list(names)), path)
