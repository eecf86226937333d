"""Checked lines as Arrow tables: the columns of every kind of part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

import numpy as np
import orjson
import pyarrow as pa

from ml_assets.prediction_log.partitions import Kind, hour_of
from ml_assets.prediction_log.records import Answer, EventPrediction, FeatureNames, Line, Outcome, Prediction, Refusal

TIME = pa.timestamp("us")
STRINGS = pa.list_(pa.string())
WHERE = pa.schema([("segment", pa.dictionary(pa.int32(), pa.string())), ("line", pa.int64())])
"""Identity of a line in the parts: its segment, and the byte it starts at."""

PREDICTIONS = pa.schema(
    {
        "prediction_id": pa.string(), "time": TIME, "logged_at": TIME, "as_of": TIME, "model_version": pa.string(),
        "index": pa.string(), "arm": pa.string(), "release_id": pa.string(), "customer_id": pa.string(),
        "customer_known": pa.bool_(), "k": pa.int32(), "session": pa.string(), "candidates": STRINGS,
        "ranked": pa.int32(), "degraded": STRINGS, "unknown_products": STRINGS, "served_by": pa.string(),
        "latency_ms": pa.float64(),
    }
)  # fmt: skip
"""One row per answer; `session` is JSON, times are UTC without a zone."""

SHOWN = pa.schema(
    {
        "prediction_id": pa.string(), "time": TIME, "model_version": pa.string(), "arm": pa.string(),
        "customer_id": pa.string(), "position": pa.int32(), "product_id": pa.string(), "category_id": pa.string(),
        "score": pa.float32(), "propensity": pa.float64(), "sources": STRINGS,
    }
)  # fmt: skip
"""One row per product of an answer; a float32 column per feature of the model follows, null where it is missing."""

EVENTS = pa.schema(
    {
        "prediction_id": pa.string(), "time": TIME, "logged_at": TIME, "as_of": TIME, "model_version": pa.string(),
        "arm": pa.string(), "release_id": pa.string(), "event": pa.string(), "known": pa.bool_(), "keys": pa.string(),
        "request": pa.string(), "value": pa.float64(), "degraded": STRINGS, "served_by": pa.string(),
        "latency_ms": pa.float64(),
    }
)  # fmt: skip
"""One row per predicted event; `keys` and `request` are JSON, `event` is null when the caller named none."""

SCORED = pa.schema(
    {
        "prediction_id": pa.string(), "time": TIME, "model_version": pa.string(), "arm": pa.string(),
        "event": pa.string(), "keys": pa.string(), "score": pa.float32(),
    }
)  # fmt: skip
"""The one row of a predicted event that stands where a list has its products: features follow as there."""

OUTCOMES = pa.schema({"prediction_id": pa.string(), "product_id": pa.string(), "event_type": pa.string(), "time": TIME})
REFUSALS = pa.schema({"time": TIME, "status": pa.int32(), "latency_ms": pa.float64(), "error": pa.string()})
BAD = pa.schema({"reason": pa.string(), "raw": pa.binary()})
"""`raw`: the bytes of the line as they were."""

RENAMED = {"customer_id": "customer", "product_id": "product"}
"""Columns that the line calls otherwise."""

JSON = {"session", "keys", "request"}
"""Columns that hold what was said as text."""


@dataclass(frozen=True)
class Layout:
    """The columns of one kind of answers, and of their rows; `per_row`: what a row has of its own, by attribute."""

    answers: pa.Schema
    rows: pa.Schema
    per_row: Mapping[str, str]

    @property
    def per_answer(self) -> list[str]:
        """Columns that all rows of an answer share."""
        return [name for name in self.rows.names if name not in self.per_row]


OF_LISTS = Layout(
    PREDICTIONS,
    SHOWN,
    {
        "position": "positions", "product_id": "products", "category_id": "categories", "score": "scores",
        "propensity": "propensities", "sources": "sources",
    },
)  # fmt: skip
OF_EVENTS = Layout(EVENTS, SCORED, {"score": "scores"})
LAYOUTS: dict[type, Layout] = {Prediction: OF_LISTS, EventPrediction: OF_EVENTS}

Bad = tuple[int, str, bytes]
"""Where a line starts, why it is bad, and its bytes."""


def build(
    segment: str, lines: Iterable[Line], bad: Sequence[Bad], names: FeatureNames, now: datetime
) -> dict[tuple[Kind, str], pa.Table]:
    """Tables by kind and hour of one range of a segment; `now` is the hour of what is bad."""
    hours: dict[tuple[type, str], list[Line]] = defaultdict(list)
    for line in lines:
        hours[type(line.record), hour_of(line.record.time)].append(line)
    tables: dict[tuple[Kind, str], list[pa.Table]] = defaultdict(list)
    for (record, hour), found in hours.items():
        rows = _where(segment, [line.at for line in found], _table(found, _SCHEMA[record]))
        tables[_KIND[record], hour].append(rows)
        if record in LAYOUTS:
            tables[Kind.SHOWN, hour].append(_shown(rows, found, names, LAYOUTS[record]))
    if bad:
        at, reason, raw = zip(*bad, strict=True)
        tables[Kind.BAD, hour_of(now)] = [_where(segment, at, pa.table([reason, raw], schema=BAD))]
    return {where: pa.concat_tables(found, promote_options="default") for where, found in tables.items()}


_SCHEMA: dict[type, pa.Schema] = {
    Outcome: OUTCOMES,
    Refusal: REFUSALS,
    **{record: layout.answers for record, layout in LAYOUTS.items()},
}
_KIND: dict[type, Kind] = {Outcome: Kind.OUTCOMES, Refusal: Kind.REFUSALS, **dict.fromkeys(LAYOUTS, Kind.PREDICTIONS)}


def _where(segment: str, at: Sequence[int], table: pa.Table) -> pa.Table:
    names = pa.array([segment]).dictionary_encode().take(pa.array(np.zeros(len(at), dtype=np.int32)))
    where = pa.table([names, pa.array(at, pa.int64())], schema=WHERE)
    return pa.table([*where.columns, *table.columns], schema=pa.schema([*WHERE, *table.schema]))


def _table(lines: Sequence[Line], schema: pa.Schema) -> pa.Table:
    return pa.table([_column(lines, field) for field in schema], schema=schema)


def _column(lines: Sequence[Line], field: pa.Field) -> pa.Array:
    key = RENAMED.get(field.name, field.name)
    values = [getattr(line.record, key) for line in lines]
    return pa.array([orjson.dumps(value).decode() for value in values] if key in JSON else values, field.type)


def _shown(predictions: pa.Table, lines: Sequence[Line], names: FeatureNames, layout: Layout) -> pa.Table:
    """A row per product or event; answers of models with the same features lie together."""
    groups: dict[str, list[int]] = defaultdict(list)
    for row, line in enumerate(lines):
        groups[_answer(line).features_id or ""].append(row)
    tables = [
        _of_one_model(
            predictions.take(pa.array(rows)), [lines[row] for row in rows], names(name) if name else (), layout
        )
        for name, rows in groups.items()
    ]
    return pa.concat_tables(tables, promote_options="default")


def _of_one_model(predictions: pa.Table, lines: Sequence[Line], features: tuple[str, ...], layout: Layout) -> pa.Table:
    records = [_answer(line) for line in lines]
    answer = np.repeat(np.arange(len(records)), [record.rows for record in records])
    columns = {name: predictions[name].take(pa.array(answer)) for name in (*WHERE.names, *layout.per_answer)}
    columns |= {name: _flat(records, said, layout.rows.field(name).type) for name, said in layout.per_row.items()}
    if features:
        matrix = np.concatenate([line.features for line in lines if line.features is not None])
        found = (pa.array(column, from_pandas=True) for column in np.ascontiguousarray(matrix.T))
        columns |= dict(zip(features, found, strict=True))
    schema = pa.schema([*WHERE, *layout.rows, *((name, pa.float32()) for name in features)])
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _answer(line: Line) -> Answer:
    assert isinstance(line.record, Answer)  # noqa: S101  # a file of answers has nothing else
    return line.record


def _flat(records: Sequence[Answer], attribute: str, kind: pa.DataType) -> pa.Array:
    return pa.array(list(chain.from_iterable(getattr(record, attribute) for record in records)), kind)
