"""What a file says about the question asked of it: its days, its label, and which columns give the label away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from ml_assets.ingestion.readers import literal, quote
from ml_assets.ingestion.spec import TableSpec
from ml_assets.learning.leaks import strength_alone
from ml_assets.learning.metrics import FloatArray
from ml_assets.learning.sections import GateSpec
from ml_assets.learning.spec import Task
from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.look import FEW, Column, Kind, Look
from ml_assets.scaffold.times import Moment, moment_of
from ml_assets.scaffold.wanted import Wanted

POSITIVE = ("1", "1.0", "true", "yes", "y", "t")
NEGATIVE = ("0", "0.0", "false", "no", "n", "f")
JUDGED = TableSpec.model_fields["quarantine_min_rows"].default
"""Rows from which on ingestion judges a day's quarantine by itself."""
SAMPLE = 100_000
"""Rows on which it is asked whether a column gives the label away."""


@dataclass(frozen=True)
class Label:
    """The label: SQL over the raw columns that makes a number of it, its mean and spread, rows of the rarer value."""

    sql: str
    mean: float
    spread: float
    rarer: int


@dataclass(frozen=True)
class Measured:
    """What the plan needs to know beside the columns.

    Attributes:
        moment: how the file says times.
        label: how it says the label.
        first: first day with an event.
        last: last day with an event.
        days: days with labelled events.
        undated: rows without a time.
        unlabelled: rows with a time and without a label.
        nameless: rows without one of the entities.
        repeated: rows that repeat another one in every column.
        worst: largest share of such rows in a day that is judged by itself.
        first_rows: rows of the first day.
        leaks: columns that alone tell the label, with the strength (AUC or rank correlation).
        example: values of a late row by column name: keys and numbers.
    """

    moment: Moment
    label: Label
    first: date
    last: date
    days: int
    undated: int
    unlabelled: int
    nameless: int
    repeated: int
    worst: float
    first_rows: int
    leaks: dict[str, float]
    example: dict[str, Any]


def measure(look: Look, wanted: Wanted) -> Measured:
    """Ask the file.

    Raises:
        ScaffoldError: when a column is missing, the time cannot be read, or the label does not fit the task.
    """
    time, label = look.column(wanted.time), look.column(wanted.label)
    moment = moment_of(look, time, wanted.time_format)
    said = _label(look, label, wanted)
    run = look.connection.execute
    run(f"create or replace view dated as select *, {moment.sql} as _at, {said.sql} as _label from raw")
    nameless = " or ".join(f"{quote(look.column(key).raw)} is null" for key in wanted.entities)
    counted = run(
        f"""select count_if(_at is null), count_if(_at is not null and _label is null), count_if({nameless}),
            count(distinct cast(_at as date)) filter (_label is not null), min(_at)::date, max(_at)::date
        from dated"""
    ).fetchone()
    assert counted is not None  # noqa: S101  # an aggregate has one row
    undated, unlabelled, unnamed, days, first, last = counted
    if first is None:
        raise ScaffoldError(f"{wanted.time}: no row has a time")
    [(repeated, worst)] = run(
        f"""select coalesce(sum(more), 0)::bigint, coalesce(max(more / found) filter (found >= {JUDGED}), 0) from (
            select count(*) as found, count(*) - count(distinct hash(rows)) as more
            from dated as rows group by _at::date
        )"""
    ).fetchall()
    [(opening,)] = run(f"select count(*) from dated where _at::date = date '{first}'").fetchall()
    return Measured(
        moment, said, first, last, days, undated, unlabelled, unnamed, repeated, worst, opening,
        leaks=dict(_leaks(look, wanted)), example=_example(look, wanted),
    )  # fmt: skip


def _label(look: Look, column: Column, wanted: Wanted) -> Label:
    sql = _binary(column, wanted.positive) if wanted.task == "binary" else _number(column)
    found = look.connection.execute(
        f"""select avg(y), stddev_samp(y), count(distinct y), count(y) from (
        select try_cast({sql} as double) as y from raw)"""
    ).fetchone()
    assert found is not None  # noqa: S101
    mean, spread, distinct, rows = found
    if distinct < 2:
        raise ScaffoldError(f"{column.raw} has the one value {column.values[0]}: there is nothing to learn")
    return Label(sql, mean, spread, round(rows * min(mean, 1 - mean)) if wanted.task == "binary" else rows)


def _binary(column: Column, positive: str | None) -> str:
    """SQL that makes 1 of one value and 0 of the other."""
    if column.distinct < 2:
        value = column.values[0] if column.values else "nothing"
        raise ScaffoldError(f"{column.raw} has the one value {value}: there is nothing to learn")
    if column.distinct > 2 and not (column.kind is Kind.FLAG and len({v.lower() for v in column.values}) == 2):
        raise ScaffoldError(
            f"{column.raw} has {column.distinct:,} values ({', '.join(column.values[:5])}): a binary label has two. "
            "Name another label, make a column of two values first, or say --task regression for a number"
        )
    text = column.raw_sql
    low = [value.lower() for value in column.values]
    if positive is None and column.kind is Kind.WHOLE and set(low) <= {"0", "1"}:
        return column.from_sql
    if positive is None:
        yes, no = ([v for v in column.values if v.lower() in words] for words in (POSITIVE, NEGATIVE))
        if not yes or not no:
            either = " or ".join(column.values)
            hint = f"--positive {column.values[-1]!r}"
            raise ScaffoldError(f"{column.raw} is {either}: say which is to be predicted, e.g. {hint}")
    else:
        if positive not in column.values:
            raise ScaffoldError(f"--positive {positive!r}: {column.raw} is {' or '.join(column.values)}")
        yes, no = [positive], [value for value in column.values if value != positive]
    return f"case when {_is(text, yes)} then 1 when {_is(text, no)} then 0 end"


def _is(text: str, values: list[str]) -> str:
    [one, *more] = [literal(value) for value in values]
    return f"trim({text}) in ({', '.join([one, *more])})" if more else f"trim({text}) = {one}"


def _number(column: Column) -> str:
    if not column.numeric:
        raise ScaffoldError(
            f"{column.raw} is {column.kind} (e.g. {', '.join(column.values[:3])}): a regression predicts a number"
        )
    return column.from_sql


def _leaks(look: Look, wanted: Wanted) -> Iterator[tuple[str, float]]:
    """Columns that alone tell the label; of texts, by the mean label of each of a few values."""
    asked = {look.column(name).raw for name in (*wanted.entities, wanted.time, wanted.label)}
    others = [column for column in look.columns if column.raw not in asked and column.distinct > 0]
    asked_for = [column for column in others if column.numeric or column.distinct <= FEW]
    if not asked_for:
        return
    values = ", ".join(f"{_value(column)} as {quote(column.name)}" for column in asked_for)
    found = look.connection.execute(
        f"""select try_cast(_label as double) as "_label", {values} from dated
        where _label is not null using sample reservoir({SAMPLE} rows) repeatable (7)"""
    ).fetchnumpy()
    label, task = _floats(found["_label"]), Task(wanted.task)
    for column in asked_for:
        strength = strength_alone(_floats(found[column.name]), label, task)
        if strength >= GateSpec().leak:
            yield column.name, strength


def _value(column: Column) -> str:
    if column.numeric:
        return f"try_cast({column.from_sql} as double)"
    return f"avg(try_cast(_label as double)) over (partition by {quote(column.raw)})"


def _floats(values: Any) -> FloatArray:
    return np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)


def _example(look: Look, wanted: Wanted) -> dict[str, Any]:
    """A late row that is as complete as any: texts and numbers by column name."""
    keys = {look.column(name).raw for name in wanted.entities}
    taken = [column for column in look.columns if column.numeric or column.raw in keys]
    values = [
        f"cast({column.key_sql} as varchar)" if column.raw in keys else f"try_cast({column.from_sql} as double)"
        for column in taken
    ]
    shown, known = ", ".join(values), " + ".join(f"({value} is not null)::int" for value in values)
    row = look.connection.execute(
        f"""select {shown} from (select * from dated order by _at desc nulls last limit 100)
        order by {known} desc, _at desc limit 1"""
    ).fetchone()
    assert row is not None  # noqa: S101  # a file has rows
    numbers = (int(v) if isinstance(v, float) and v.is_integer() else v for v in row)
    return {column.name: value for column, value in zip(taken, numbers, strict=True)}
