"""The customer's raw events behind an answer, and the files they came from."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import duckdb

from ml_assets.config.settings import Settings
from ml_assets.explain.explanation import RawEvent
from ml_assets.ingestion.days.ledger import read_ledger
from ml_assets.ingestion.publish import part
from ml_assets.storage.files import exact_name

TABLE = "events"

_EVENTS = """
with

known as (
    select
        *,
        cast(regexp_extract(filename, 'event_day=([0-9-]+)/[^/]*$', 1) as date) as day
    from read_parquet($files, filename = true, union_by_name = true, hive_partitioning = false)
    where customer_id = $customer and event_ts < $before
)

select event_id, event_ts, event_type, product_id, session_id, day, count(*) over () as events
from known
order by event_ts desc, event_id
limit $newest
"""


def raw_events(settings: Settings, customer: str, before: datetime, newest: int) -> tuple[tuple[RawEvent, ...], int]:
    """The customer's newest events that had arrived and happened before a moment (UTC), newest first; and how many all.

    Args:
        settings: the deployment; its lake is read.
        customer: whose events.
        before: midnights count as the end of the day before, as for the features.
        newest: events returned at most.
    """
    ledger = read_ledger(settings.lake, TABLE)
    days = [day for day in ledger if datetime.combine(day, datetime.min.time()) + timedelta(days=1) <= before]
    files = [exact_name(path) for day in days if (path := part(settings.lake, TABLE, day)).exists()]
    if not files:
        return (), 0
    values = {"files": files, "customer": customer, "before": before, "newest": newest}
    with duckdb.connect() as connection:
        found = connection.execute(_EVENTS, values)
        names = [column[0] for column in found.description]
        rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    events = [
        RawEvent(**{name: row[name] for name in row if name != "events"}, files=tuple(ledger[row["day"]].sources))
        for row in rows
    ]
    return tuple(events), rows[0]["events"] if rows else 0
