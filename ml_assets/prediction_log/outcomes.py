"""What customers did with what they were shown: by the shop's feedback, or by the raw events soon after."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import duckdb
import pyarrow as pa

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.prediction_log.partitions import Kind, PartFile, select
from ml_assets.prediction_log.reading import scan
from ml_assets.prediction_log.tables import OUTCOMES, PREDICTIONS, SHOWN, WHERE
from ml_assets.registry.release import Arm
from ml_assets.storage import warehouse

EARLY = timedelta(days=1)
"""Feedback may say a time this much before its answer's day: clocks differ."""

KEPT = """
select segment, line, arm from {predictions}
qualify row_number() over (
    partition by prediction_id, cast(time as date) order by logged_at, segment, line
) = 1
"""
"""One line per answer, the one that was logged first."""

_FEEDBACK = f"""
create temp table outcomes as
select prediction_id, product_id, bool_or(event_type = 'cart') as carted, bool_or(event_type = 'purchase') as purchased
from {{outcomes}}
where prediction_id not like '%-{Arm.SHADOW}'
group by prediction_id, product_id
"""

_OFFERS = f"""
create temp table offers as
with kept as ({KEPT})

select customer_id, product_id, time, max(prediction_id) as prediction_id
from {{shown}}
semi join (select * from kept where arm <> '{Arm.SHADOW}') as seen using (segment, line)
group by customer_id, product_id, time
"""
"""What a customer saw when; of two answers at the same moment one is taken."""

_EVENTS = """
select customer_id, product_id, event_ts, event_type
from stg_events
semi join offered using (customer_id, product_id)
where event_day >= $first and event_ts between $start and $stop
"""

_CREDITED = """
create temp table outcomes as
with credited as (
    select offers.prediction_id, offers.product_id, events.event_type
    from events
    asof join offers
        on events.customer_id = offers.customer_id
        and events.product_id = offers.product_id
        and events.event_ts > offers.time
    where events.event_ts <= offers.time + to_minutes({minutes})
)

select prediction_id, product_id, bool_or(event_type = 'cart') as carted, bool_or(event_type = 'purchase') as purchased
from credited
group by prediction_id, product_id
"""


def find_outcomes(
    connection: duckdb.DuckDBPyConnection, settings: Settings, spec: ModelSpec, day: date, files: list[PartFile]
) -> None:
    """Make the table `outcomes` (prediction_id, product_id, carted, purchased): a row is a product that was used.

    With `outcomes: events` an event counts for the newest answer that showed the product to that customer
    before it, if that was at most `attribution_minutes` before; answers of the next day compete for the events
    after midnight. What nobody saw (shadow) has no outcomes.

    Raises:
        ml_assets.storage.warehouse.WarehouseError: when the events cannot be read.
    """
    quality = spec.monitoring.quality
    if quality.outcomes == "feedback":
        start = datetime.combine(day, time()) - EARLY
        outcomes = scan(connection, select(files, Kind.OUTCOMES, start), OUTCOMES)
        connection.execute(_FEEDBACK.format(outcomes=outcomes))
    else:
        _find_by_events(connection, settings, quality.attribution_minutes, day, files)


def _find_by_events(
    connection: duckdb.DuckDBPyConnection, settings: Settings, minutes: int, day: date, files: list[PartFile]
) -> None:
    start = datetime.combine(day, time())
    stop = start + timedelta(days=1, minutes=minutes)
    predictions, shown = select(files, Kind.PREDICTIONS, start, stop), select(files, Kind.SHOWN, start, stop)
    connection.execute(
        _OFFERS.format(
            predictions=scan(connection, predictions, pa.schema([*WHERE, *PREDICTIONS])),
            shown=scan(connection, shown, pa.schema([*WHERE, *SHOWN])),
        )
    )
    events = _events(connection, settings, start, stop)
    connection.register("events", events)
    connection.execute(_CREDITED.format(minutes=minutes))
    connection.unregister("events")


def _events(connection: duckdb.DuckDBPyConnection, settings: Settings, start: datetime, stop: datetime) -> pa.Table:
    """The events of what was shown, read in one go: whoever writes the warehouse waits for its readers."""
    offered = connection.sql("select distinct customer_id, product_id from offers").to_arrow_table()
    with warehouse.connect(settings) as opened:
        opened.register("offered", offered)
        return opened.sql(_EVENTS, params={"first": start.date(), "start": start, "stop": stop}).to_arrow_table()
