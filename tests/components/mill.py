"""A source beside the shop whose tables are landed: what a mill ground (a topic) and what came in (a bucket)."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

SOURCE = """
name: mill
description: What a mill takes in and grinds.
calendar: {{start: {first}}}
tables:
  ground:
    description: One message per sack.
    source: {{kind: kafka, bootstrap: '${{MILL_KAFKA}}', topic: ground, settles: 0 seconds, every: 0 seconds}}
    key: [sack]
    time: {{column: ground_at}}
    columns:
      sack: {{from: sack, type: VARCHAR, description: identifies the sack}}
      ground_at: {{from: moment, type: TIMESTAMP, description: when, unit: UTC}}
      grain: {{from: grain, type: VARCHAR, description: which grain}}
      weight: {{from: weight, type: DOUBLE, description: weight, unit: kg, above: 0}}
    max_quarantine_share: 0.5
    traffic: {{enabled: false}}
  deliveries:
    description: One row per delivery.
    source:
      kind: files
      address: s3://mill/deliveries/{{day}}/*.csv
      options: {{key: '${{MILL_KEY}}', secret: '${{MILL_SECRET}}', endpoint_url: '${{MILL_S3}}'}}
      every: 0 seconds
    key: [delivery]
    time: {{column: arrived_at}}
    columns:
      delivery: {{from: delivery, type: VARCHAR, description: identifies the delivery}}
      arrived_at: {{from: moment, type: TIMESTAMP, description: when, unit: UTC}}
      grain: {{from: grain, type: VARCHAR, description: which grain}}
      weight: {{from: weight, type: DOUBLE, description: weight, unit: kg, above: 0}}
    max_quarantine_share: 0
    traffic: {{enabled: false}}
"""
_EXTERNAL = "read_parquet('{{ env_var('ML_ASSETS_LAKE') }}/{name}/*/*.parquet', hive_partitioning = true)"
DBT = {
    "sources.yml": f"""
sources:
  - name: mill
    config:
      external_location: >-
        {_EXTERNAL}
    tables:
      - name: ground
      - name: deliveries
""",
    "mart_mill_days.sql": """
with

came as (
    select cast(event_day as date) as event_day, sum(weight) as came
    from {{ source('mill', 'deliveries') }}
    group by all
),

went as (
    select cast(event_day as date) as event_day, sum(weight) as went
    from {{ source('mill', 'ground') }}
    group by all
)

select event_day, coalesce(came, 0) as came, coalesce(went, 0) as went
from came
full join went using (event_day)
where {{ in_range() }}
""",
    "mart_mill_days.yml": """
models:
  - name: mart_mill_days
    description: One row per day.
    columns:
      - {name: event_day, description: The day}
      - {name: came, description: Grain that came in (kg)}
      - {name: went, description: Grain that was ground (kg), data_tests: [not_null]}
""",
}


def add_mill(project: Path, first: dt.date) -> None:
    """Put the mill beside the shop of a copied project, open since `first`."""
    files = {"sources/mill.yaml": SOURCE.format(first=first)}
    files |= {f"dbt_project/models/mill/{name}": text for name, text in DBT.items()}
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text.lstrip())
