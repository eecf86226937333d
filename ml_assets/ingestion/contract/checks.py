"""The contract as SQL: from raw text to typed values, and for each row the reasons it is bad.

Reasons read `kind:column` (`type`, `null`, `allowed`, `pattern`, `range`, `outlier`, `reference`) or just a
name (`unreadable`, `calendar`, `late`, `future`, `duplicate`, and the shop's own rules). Their order here is
the declared order: the first that holds is the row's `reason`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta

from ml_assets.config.numbers import MOST
from ml_assets.config.source_spec import FOREVER, CalendarSpec, ColumnSpec, TableSpec
from ml_assets.ingestion.reading.readers import NUMBERED, RawFile, literal, parquet, quote

ROW = "_source, _day, _row, _line, _stray"


def raw_sql(files: Sequence[RawFile], table: TableSpec, calendar: CalendarSpec) -> str:
    """All rows of these files as text (nested: JSON), each with where it is from, `_day`, `_json` and `_stray`.

    Where from: `_source` (file), `_row`, of text files `_at` (line), and `_line` for a line that is no row. Files must
    share their columns or be read by name. A row whose day is unknown or outside the calendar is `_stray` and belongs
    to the calendar's first or last day, so that every row belongs to exactly one; to the first where it has no last.
    """
    names = list(dict.fromkeys(name for raw in files for name in raw.columns))
    nested = {name for raw in files for name in raw.nested}
    values = {name: f"to_json({quote(name)})" if name in nested else quote(name) for name in names}
    texts = "".join(f"cast({value} as varchar) as {quote(name)}, " for name, value in values.items())
    line = "_line" if any(raw.staged for raw in files) else "null::varchar"
    at = "_at" if any(raw.file.format in {"csv", "jsonl"} for raw in files) else "null::bigint"
    whole = "_json" if any(raw.file.format == "jsonl" for raw in files) else "null::varchar"
    labels = ", ".join(
        f"({literal(raw.parquet)}, {literal(raw.file.label)}, {_day_or_null(raw.file.day)})" for raw in files
    )
    read = parquet(*(raw.parquet for raw in files), options=f"filename = '_path', union_by_name = true, {NUMBERED}")
    found = "_given" if table.day is None else f"try(cast(({table.day}) as date))"
    first = _day_or_null(calendar.start)
    last = _day_or_null(calendar.end or FOREVER - timedelta(days=1))
    beyond = last if calendar.end is not None else first  # without an end, no run ever comes to the last day
    return f"""
with labels(_path, _source, _given) as (values {labels}),
read as (
    select {texts}_path, file_row_number as _row, {line} as _line, {at} as _at, {whole} as _json
    from {read}
),
dated as (select read.*, labels._source, labels._given, {found} as _found from read join labels using (_path))
select
    * exclude (_path, _given, _found),
    case
        when _found is null or _found < {first} then {first}
        when _found > {last} then {beyond}
        else _found
    end as _day,
    coalesce(_found not between {first} and {last}, true) as _stray
from dated
"""


def _day_or_null(day: date | None) -> str:
    return "null::date" if day is None else f"date '{day.isoformat()}'"


def derived_sql(table: TableSpec, relation: str) -> str:
    """What the mapping reads: the raw relation itself, or what `derive` makes of its rows that have a day."""
    if table.derive is None:
        return f"from {relation}"
    return f"with raw as (from {relation} where not _stray) select *, false as _stray from ({table.derive})"


def value_sql(column: ColumnSpec, text: str) -> str:
    """The typed value of a text, or null where the text is no such value.

    Numbers must be finite and no more than models read (float32), integers whole (a plain cast would round), and a
    time's offset is honoured (a plain cast to TIMESTAMP drops it); times without one are UTC. A text has no NUL:
    databases take none.
    """
    if column.type == "VARCHAR":
        return f"case when not contains({text}, chr(0)) then {text} end"
    if column.type in {"INTEGER", "BIGINT"}:
        whole = f"try_cast({text} as double) = try_cast({text} as bigint)"
        return f"case when {whole} then try_cast({text} as {column.type}) end"
    if column.type == "DOUBLE":
        return f"case when abs(try_cast({text} as double)) <= {MOST!r} then try_cast({text} as double) end"
    if column.type == "TIMESTAMP":
        moment = f"try_cast({text} as timestamptz)"
        return f"case when isfinite({moment}) then {moment}::timestamp end"
    return f"try_cast({text} as {column.type})"


def conditions(table: TableSpec) -> dict[str, str]:
    """Every reason a row can be bad for by itself, in declared order, with the SQL condition that says so."""
    checks = {"unreadable": "_line is not null"}
    checks |= {name: quote(f"{name}__rule") for name in table.rules}
    for name, column in table.columns.items():
        checks |= _column_conditions(name, column)
    time = quote(table.time.column)
    checks["calendar"] = "_stray"
    if table.time.max_lateness_days is not None:
        checks["late"] = f"not _stray and {time} < _day - interval {table.time.max_lateness_days} day"
    grace = table.time.future_tolerance_minutes
    checks["future"] = f"not _stray and {time} >= _day + interval 1 day + interval {grace} minute"
    for name, rule in table.outliers.items():
        distance = f"abs(ln({quote(name)} / {quote(f'{name}__reference')}))"
        positive = f"{quote(name)} > 0 and {quote(f'{name}__reference')} > 0"
        checks[f"outlier:{name}"] = (
            f"case when {positive} then {distance} > {math.log(rule.max_ratio)!r} else false end"
        )
    for name in table.references:
        checks[f"reference:{name}"] = f"{quote(name)} is not null and {quote(f'{name}__known')} is null"
    return checks


def _column_conditions(name: str, column: ColumnSpec) -> dict[str, str]:
    value, text = quote(name), quote(f"{name}__text")
    checks = {}
    if not column.nullable:
        checks[f"null:{name}"] = f"{text} is null"
    checks[f"type:{name}"] = f"{text} is not null and {value} is null"
    if column.allowed is not None:
        checks[f"allowed:{name}"] = f"{value} not in ({', '.join(literal(word) for word in column.allowed)})"
    if column.pattern is not None:
        checks[f"pattern:{name}"] = f"not regexp_full_match({value}, {literal(column.pattern)})"
    if outside := column.bounds.outside_sql(value):
        checks[f"range:{name}"] = outside
    return checks


def checked_sql(table: TableSpec, source: str, found: Sequence[str]) -> str:
    """Typed values and `_reasons` (null for a good row) of every row of the relation `source`.

    The relation has the columns `found`. The row as it came is in `_raw`, or in `_json` where that is a JSON line.
    Upstream tables are read from `known__<column>` (key, first_day) and `reference__<column>` (key, day, value).
    """
    packed = ", ".join(f"{quote(name)} := {quote(name)}" for name in found if not name.startswith("_"))
    whole = "_json" if "_json" in found else "null::varchar"  # `derive` may leave it out
    at = "_at" if "_at" in found else "null::bigint"
    row = f"struct_pack({packed})" if packed else "null"
    raw = f"case when {whole} is null then {row} end as _raw, {whole} as _json, {at} as _at"
    texts = [
        f"nullif(trim(cast(({column.source}) as varchar)), '') as {quote(f'{name}__text')}"
        for name, column in table.columns.items()
    ]
    rules = [f"coalesce(({sql})::boolean, false) as {quote(f'{name}__rule')}" for name, sql in table.rules.items()]
    values = [f"{value_sql(column, quote(f'{name}__text'))} as {quote(name)}" for name, column in table.columns.items()]
    checks = conditions(table)
    bad = " or ".join(f"({sql})" for sql in checks.values())
    reasons = ", ".join(f"case when {sql} then {literal(name)} end" for name, sql in checks.items())
    columns = ", ".join(quote(name) for name in table.columns)
    join_columns, joins = _joins(table)
    return f"""
with texts as (select {ROW}, {raw}, {", ".join([*texts, *rules])} from {source}),
typed as (select *, {", ".join(values)} from texts),
known as (select {", ".join(["typed.*", *join_columns])} from typed {" ".join(joins)})
select
    _source, _day, _row, _line, _at, _json, _raw, {columns},
    case when {bad} then list_filter([{reasons}], lambda reason: reason is not null) end as _reasons
from known
"""


def _joins(table: TableSpec) -> tuple[list[str], list[str]]:
    columns, joins = [], []
    for name in table.references:
        relation, key = quote(f"known__{name}"), f"typed.{quote(name)}"
        columns.append(f"{relation}.first_day as {quote(f'{name}__known')}")
        joins.append(f"left join {relation} on {relation}.key = {key} and {relation}.first_day <= typed._day")
    for name, rule in table.outliers.items():
        relation, key = quote(f"reference__{name}"), f"typed.{quote(rule.by)}"
        columns.append(f"{relation}.value as {quote(f'{name}__reference')}")
        joins.append(f"asof left join {relation} on {relation}.key = {key} and {relation}.day <= typed._day")
    return columns, joins
