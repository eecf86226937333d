"""What became of predicted events: their labels by the spine, as far as they are known by now."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import duckdb
import pyarrow as pa

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.prediction_log.partitions import Kind, PartFile, select
from ml_assets.prediction_log.reading import scan
from ml_assets.prediction_log.tables import SCORED
from ml_assets.storage import warehouse

_ASKED = "select distinct event from {files} where event is not null"
_LABELS = """
select {entity}::varchar as event, max({label})::double as label
from {spine}
semi join asked on {spine}.{entity}::varchar = asked.event
where {label} is not null
group by all
"""
_CHANGED = """
select count(*) as changed from asked join ({labels}) as now using (event) where asked.label is distinct from now.label
"""


def find_labels(
    connection: duckdb.DuckDBPyConnection, settings: Settings, spec: ModelSpec, day: date, files: list[PartFile]
) -> None:
    """Make the table `labels` (event, label) of the events that were predicted on the day and named by the caller.

    Raises:
        ml_assets.storage.warehouse.WarehouseError: when the spine's warehouse cannot be read.
    """
    start = datetime.combine(day, time())
    scored = scan(connection, select(files, Kind.SHOWN, start, start + timedelta(days=1)), SCORED)
    asked = connection.sql(_ASKED.format(files=scored)).to_arrow_table()
    connection.register("known_labels", _read(settings, asked, _labels(spec)))
    connection.execute("create temp table labels as select * from known_labels")
    connection.unregister("known_labels")


def newly_labelled(connection: duckdb.DuckDBPyConnection, settings: Settings, spec: ModelSpec) -> bool:
    """Whether the spine knows other labels by now than the view `shown` has.

    Raises:
        ml_assets.storage.warehouse.WarehouseError: when the spine's warehouse cannot be read.
    """
    asked = connection.sql("select event, label from shown where event is not null").to_arrow_table()
    return bool(_read(settings, asked, _CHANGED.format(labels=_labels(spec)))["changed"][0].as_py())


def _labels(spec: ModelSpec) -> str:
    return _LABELS.format(entity=spec.entity, label=spec.label, spine=spec.spine)


def _read(settings: Settings, asked: pa.Table, sql: str) -> pa.Table:
    """In one go: whoever writes the warehouse waits for its readers."""
    with warehouse.connect(settings) as opened:
        opened.register("asked", asked)
        return opened.sql(sql).to_arrow_table()
