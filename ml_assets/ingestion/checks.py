"""The contract as SQL: from raw text to typed values, and for each row the reasons it is bad.

Reasons read `kind:column` (`type`, `null`, `allowed`, `pattern`, `range`, `outlier`, `reference`) or just a
name (`unreadable`, `calendar`, `late`, `future`, `duplicate`, and the shop's own rules). Their order here is
the declared order: the first that holds is the row's `reason`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

from ml_assets.ingestion.readers import RawFile, literal, quote
from ml_assets.ingestion.spec import CalendarSpec, ColumnSpec, TableSpec

ROW = "_source, _day, _row, _line, _stray"


def raw_sql(files: Sequence[RawFile], table: TableSpec, calendar: CalendarSpec) -> str:
    """All rows of these files as text, with `_source`, `_day`, `_row`, `_line` (unreadable) and `_stray`.

    Files must share their columns or be read by name. A row whose day is unknown or outside the calendar is
    `_stray` and belongs to the calendar's first or last day, so that every row belongs to exactly one.
    """
    names = list(dict.fromkeys(name for raw in files for name in raw.columns))
    texts = "".join(f"cast({quote(name)} as varchar) as {quote(name)}, " for name in names)
    line = "_line" if any(raw.staged for raw in files) else "null::varchar"
    labels = ", ".join(
        f"({literal(raw.parquet)}, {literal(raw.file.label)}, {_day_or_null(raw.file.day)})" for raw in files
    )
    paths = ", ".join(literal(raw.parquet) for raw in files)
    found = "_given" if table.day is None else f"try(cast(({table.day}) as date))"
    first = _day_or_null(calendar.start)
    last = _day_or_null(calendar.end or date.max)
    return f"""
with labels(_path, _source, _given) as (values {labels}),
read as (
    select {texts}_path, file_row_number as _row, {line} as _line
    from read_parquet([{paths}], filename = '_path', file_row_number = true, union_by_name = true)
),
dated as (select read.*, labels._source, labels._given, {found} as _found from read join labels using (_path))
select
    * exclude (_path, _given, _found),
    case
        when _found is null or _found < {first} then {first}
        when _found > {last} then {last}
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

    Numbers must be finite, integers whole (a plain cast would round), and a time's offset is honoured (a
    plain cast to TIMESTAMP drops it); times without one are UTC.
    """
    if column.type == "VARCHAR":
        return text
    if column.type in {"INTEGER", "BIGINT"}:
        whole = f"try_cast({text} as double) = try_cast({text} as bigint)"
        return f"case when {whole} then try_cast({text} as {column.type}) end"
    if column.type == "DOUBLE":
        return f"case when isfinite(try_cast({text} as double)) then try_cast({text} as double) end"
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
    if column.type != "VARCHAR":
        checks[f"type:{name}"] = f"{text} is not null and {value} is null"
    if column.allowed is not None:
        checks[f"allowed:{name}"] = f"{value} not in ({', '.join(literal(word) for word in column.allowed)})"
    if column.pattern is not None:
        checks[f"pattern:{name}"] = f"not regexp_full_match({value}, {literal(column.pattern)})"
    bounds = {"<": column.min, "<=": column.above, ">": column.max}
    outside = [f"{value} {sign} {bound!r}" for sign, bound in bounds.items() if bound is not None]
    if outside:
        checks[f"range:{name}"] = " or ".join(outside)
    return checks


def checked_sql(table: TableSpec, source: str, raw_columns: Sequence[str]) -> str:
    """Typed values and `_reasons` (null for a good row) of every row of the relation `source`.

    Upstream tables are read from `known__<column>` (key, first_day) and `reference__<column>` (key, day,
    value).
    """
    packed = ", ".join(f"{quote(name)} := {quote(name)}" for name in raw_columns)
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
with texts as (select {ROW}, struct_pack({packed}) as _raw, {", ".join([*texts, *rules])} from {source}),
typed as (select *, {", ".join(values)} from texts),
known as (select {", ".join(["typed.*", *join_columns])} from typed {" ".join(joins)})
select
    _source, _day, _row, _line, _raw, {columns},
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
