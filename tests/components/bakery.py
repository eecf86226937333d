"""A project of its own: a copy of this one with a bakery beside the shop; YAML and SQL, and generated sales."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.settings import PROJECT

FIRST, DAYS = dt.date(2025, 1, 1), 60
PORT_OFFSET = 20  # as MODEL says
FOLDERS = ("ml_assets", "feature_repo", "dbt_project", "shops", "sources", "serving")
RUN = """
import json, sys
import dagster as dg
from ml_assets.definitions import defs
from ml_assets.runs import range_tags

found = defs()
with dg.DagsterInstance.ephemeral() as instance:
    runs = {"bakery_ingest": range_tags(*sys.argv[1:3]), "bakery_train": {}}
    for job, tags in runs.items():
        done = found.resolve_job_def(job).execute_in_process(instance=instance, tags=tags, raise_on_error=False)
        failed = {e.step_key: e.step_failure_data.error.to_string() for e in done.all_events if e.is_step_failure}
        judged = done.get_asset_check_evaluations()
        checks = {f"{c.asset_key.to_user_string()}:{c.check_name}": c.passed for c in judged}
        made = {e.asset_key.to_user_string(): {k: v.value for k, v in e.materialization.metadata.items()
                if isinstance(v.value, str | int | float)} for e in done.get_asset_materialization_events()}
        print(json.dumps({"job": job, "ok": done.success, "failed": failed, "checks": checks, "made": made}))
"""
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
  request: [price, warmth]
  known_after: [left_over]
  cluster: event_day
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
    copy_project(folder, SOURCE.format(calendar=f"{{start: {FIRST}, end: {last}}}", address=ONE_FILE))
    write_sales(folder / "sales.parquet", [FIRST + dt.timedelta(days=number) for number in range(DAYS)])
    return folder


def copy_project(folder: Path, source: str) -> None:
    """Copy the project to `folder` and put the bakery with this source beside the shop, without any sales."""
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", "target", "logs")
        shutil.copytree(PROJECT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "dagster.yaml"):
        shutil.copyfile(PROJECT / name, folder / name)
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


def python(project: Path, *arguments: str, port: int = 0) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of the copied project."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ML_ASSETS_", "DAGSTER_"))}
    env |= {"ML_ASSETS_HOME": str(project / "var"), "ML_ASSETS_THREADS": "1", "PYTHONPATH": str(project)}
    env |= {"ML_ASSETS_PORT": str(port - PORT_OFFSET)} if port else {}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)
