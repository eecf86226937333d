"""What differs between the daily tables of lists and of predicted events; everything else is shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import duckdb
import pyarrow as pa

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.prediction_log.labels import find_labels
from ml_assets.prediction_log.outcomes import find_outcomes
from ml_assets.prediction_log.partitions import Kind, PartFile
from ml_assets.prediction_log.tables import OF_EVENTS, OF_LISTS, REFUSALS, Layout
from ml_assets.registry.release import Arm

FLAGS = pa.schema([("clicked", pa.bool_()), ("carted", pa.bool_()), ("purchased", pa.bool_())])
"""Outcomes as known when the day was published; false for what nobody saw."""
LABEL = pa.schema([("label", pa.float64())])
"""What became of the event as known when the day was published; null where it is not known."""

_LISTS = f"""
select {{columns}},
    shown.arm <> '{Arm.SHADOW}' and outcomes.prediction_id is not null as clicked,
    shown.arm <> '{Arm.SHADOW}' and coalesce(outcomes.carted, false) as carted,
    shown.arm <> '{Arm.SHADOW}' and coalesce(outcomes.purchased, false) as purchased
    {{features}}
from {{files}} as shown
semi join kept on shown.segment = kept.segment and shown.line = kept.line
left join outcomes on shown.prediction_id = outcomes.prediction_id and shown.product_id = outcomes.product_id
order by shown.time, shown.prediction_id, shown.position
"""
_EVENTS = """
select {columns}, labels.label {features}
from {files} as shown
semi join kept on shown.segment = kept.segment and shown.line = kept.line
left join labels on shown.event = labels.event
order by shown.time, shown.prediction_id
"""

Find = Callable[[duckdb.DuckDBPyConnection, Settings, ModelSpec, date, list[PartFile]], None]


@dataclass(frozen=True)
class DayKind:
    """One kind of daily tables.

    Attributes:
        layout: columns of answers and rows as they were collected.
        outcomes: columns of the rows that are known later.
        sql: the rows with them, sorted.
        find: makes the table that `sql` takes outcomes from.
        counted: what is told of a day: columns of the rows whose true or known values are counted.
    """

    layout: Layout
    outcomes: pa.Schema
    sql: str
    find: Find
    counted: Mapping[str, str]

    @property
    def tables(self) -> dict[Kind, pa.Schema]:
        """Tables of a day; a float32 column per feature follows in `shown`."""
        rows = pa.schema([*self.layout.rows, *self.outcomes])
        return {Kind.PREDICTIONS: self.layout.answers, Kind.SHOWN: rows, Kind.REFUSALS: REFUSALS}


LISTS = DayKind(OF_LISTS, FLAGS, _LISTS, find_outcomes, {name: name for name in FLAGS.names})
EVENTS = DayKind(OF_EVENTS, LABEL, _EVENTS, find_labels, {"named": "event", "labelled": "label"})


def kind_of(spec: ModelSpec) -> DayKind:
    """The kind of a model's daily tables."""
    return LISTS if spec.ranks else EVENTS


NO_DAYS = {kind: pa.unify_schemas([each.tables[kind] for each in (LISTS, EVENTS)]) for kind in LISTS.tables}
"""Columns of the views over no day at all: whoever asks, the ones asked for are there."""
