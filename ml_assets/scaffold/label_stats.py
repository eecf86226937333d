"""What a file says about the question asked of it: its days, its label, and which columns give the label away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from ml_assets.config.keys import unfit_sql
from ml_assets.config.limits import FIRST_YEAR, LAST_YEAR
from ml_assets.config.model_config import GateSpec
from ml_assets.config.model_spec import Task
from ml_assets.datasets.leakage import strength_alone
from ml_assets.ingestion.reading.readers import literal, quote
from ml_assets.metrics.ranking import FloatArray
from ml_assets.scaffold.bounds import bounds_of
from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.identity import Identity, identity_of
from ml_assets.scaffold.kinds import Kind, shown
from ml_assets.scaffold.options import Wanted
from ml_assets.scaffold.profile import Look
from ml_assets.scaffold.raw_column import FEW, Column
from ml_assets.scaffold.times import Moment, moment_of

POSITIVE = ("1", "1.0", "true", "yes", "y", "t")
NEGATIVE = ("0", "0.0", "false", "no", "n", "f")
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
        far: rows whose time lies far from all others; the calendar does without them.
        far_shown: some of these times.
        unlabelled: rows with a time and without a label.
        nameless: rows without one of the entities.
        unfit: rows with an entity that no request can name.
        misfits: rows with a value that is not of its column's kind.
        first_rows: rows of the first or the last day, whichever has more.
        leaks: columns that alone tell the label, with the strength (AUC or rank correlation).
        identity: what an event is called.
        example: values of a late row by column name: its id as `event`, keys and numbers.
    """

    moment: Moment
    label: Label
    first: date
    last: date
    days: int
    undated: int
    far: int
    far_shown: tuple[str, ...]
    unlabelled: int
    nameless: int
    unfit: int
    misfits: int
    first_rows: int
    leaks: dict[str, float]
    identity: Identity
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
    run(f"create or replace view timed as select *, {moment.sql} as _said, {said.sql} as _label from raw")
    bounds = bounds_of(look.connection)
    if bounds is None:
        raise ScaffoldError(
            f"{wanted.time}: no row has a time from {FIRST_YEAR} to {LAST_YEAR}, e.g. {', '.join(time.values[:3])}"
        )
    first, last = bounds
    within = f"_said::date between date '{first}' and date '{last}'"
    run(
        f"create or replace view dated as select * exclude (_said), case when {within} then _said end as _at from timed"
    )
    far = run(f"select _said::varchar, count(*) from timed where not {within} group by 1 order by 2 desc, 1").fetchall()
    nameless = " or ".join(f"{quote(look.column(key).raw)} is null" for key in wanted.entities)
    odd = " or ".join(unfit_sql(quote(look.column(key).raw)) for key in wanted.entities)
    counted = run(
        f"""select count_if(_said is null), count_if(_said is not null and _label is null), count_if({nameless}),
            count_if({odd}), count(distinct cast(_said as date)) filter (_label is not null and {within})
        from timed"""
    ).fetchone()
    assert counted is not None  # noqa: S101  # an aggregate has one row
    undated, unlabelled, unnamed, unfit, days = counted
    leaks = dict(_leaks(look, wanted))
    identity = identity_of(look, wanted, moment, leaks)
    [(misfits,)] = run(f"select count_if({identity.misfit}) from dated").fetchall()
    ends = f"_at::date in (date '{first}', date '{last}') group by _at::date"
    crowd = run(f"select count(*) as rows from dated where {ends} order by rows desc limit 1").fetchall()
    return Measured(
        moment, said, first, last, days, undated, sum(count for _, count in far), tuple(text for text, _ in far[:3]),
        unlabelled, unnamed, unfit, misfits, crowd[0][0], leaks, identity, example=_example(look, wanted, identity),
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
    odd = [value for value in column.values if value.lower() not in {*POSITIVE, *NEGATIVE}]
    if column.distinct > 2 and (odd or positive is not None or column.distinct > FEW):
        some = shown([*odd, *(value for value in column.values if value not in odd)][:5])
        raise ScaffoldError(
            f"{column.raw} has {column.distinct:,} values ({some}): a binary label has two. "
            "Name another label, make a column of two values first, or say --task regression for a number"
        )
    if positive is not None:
        yes, no = _chosen(column, positive)
    elif column.kind is Kind.FLAG or (column.numeric and set(map(float, column.values)) == {0, 1}):
        return column.from_sql
    else:
        yes, no = ([v for v in column.values if v.lower() in words] for words in (POSITIVE, NEGATIVE))
    if not yes or not no:
        either = " or ".join(column.values)
        raise ScaffoldError(
            f"{column.raw} is {either}: say which is to be predicted, e.g. --positive {column.values[-1]!r}"
        )
    other = column.known_sql  # a word that is none of the two stays, and breaks the contract: unknown is not missing
    return f"case when {_is(column, yes)} then '1' when {_is(column, no)} then '0' else {other} end"


def _chosen(column: Column, positive: str) -> tuple[list[str], list[str]]:
    """The value that is to be predicted, and the others."""
    same = float if column.kind in {Kind.WHOLE, Kind.NUMBER} else str.lower if column.kind is Kind.FLAG else str
    try:
        yes = [value for value in column.values if same(value) == same(positive)]
    except ValueError:  # a word among numbers
        yes = []
    if not yes:
        raise ScaffoldError(f"--positive {positive!r}: {column.raw} is {' or '.join(column.values)}")
    return yes, [value for value in column.values if value not in yes]


def _is(column: Column, values: list[str]) -> str:
    """SQL: whether a value is one of these, however it is written."""
    text = column.raw_sql
    if column.kind in {Kind.WHOLE, Kind.NUMBER}:
        return f"try_cast({text} as double) in ({', '.join(repr(float(value)) for value in values)})"
    if column.kind is Kind.FLAG:
        text, values = f"lower({text})", [value.lower() for value in values]
    return f"trim({text}) in ({', '.join(map(literal, values))})"


def _number(column: Column) -> str:
    if column.kind is Kind.FLAG:
        either = " or ".join(column.values)
        raise ScaffoldError(f"{column.raw} is {either}: a regression predicts a number; say --task binary")
    if not column.numeric:
        raise ScaffoldError(
            f"{column.raw} is {column.kind} (e.g. {shown(column.values[:3])}): a regression predicts a number"
            + (f". {column.spoiled}" if column.spoiled else "")
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


def _example(look: Look, wanted: Wanted, identity: Identity) -> dict[str, Any]:
    """A late row that is as complete as any: its id as `event`, texts and numbers by column name."""
    keys = {look.column(name).raw for name in wanted.entities}
    taken = [column for column in look.columns if column.numeric or column.raw in keys]
    values = [
        f"cast({column.key_sql} as varchar)" if column.raw in keys else f"try_cast({column.from_sql} as double)"
        for column in taken
    ]
    shown, known = ", ".join(values), " + ".join(f"({value} is not null)::int" for value in values)
    row = look.connection.execute(
        f"""select ({identity.sql})::varchar, {shown} from (select * from dated order by _at desc nulls last limit 100)
        order by {known} desc, _at desc limit 1"""
    ).fetchone()
    assert row is not None  # noqa: S101  # a file has rows
    event, *shown_values = (int(v) if isinstance(v, float) and v.is_integer() else v for v in row)
    return {"event": event} | {column.name: value for column, value in zip(taken, shown_values, strict=True)}
