"""Repeated keys: the first good row stays, within its day and over the days a late copy may arrive on.

A row is a duplicate when an earlier row of its day (in the order of files and lines), or a good row of one of
the `max_lateness_days` days before, has its key. Only good rows count as first: a corrected copy of a bad row
is good. Earlier days are looked up in the lake (or in what this very run has set aside), so a range gives
what its days give.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from ml_assets.config.source_spec import TableSpec
from ml_assets.ingestion.reading.readers import BY_DAY, parquet, quote


def mark_duplicates(table: TableSpec, earlier: Sequence[Path], connection: duckdb.DuckDBPyConnection) -> None:
    """Set `_reasons` of duplicates in the temporary table `checked`.

    Args:
        table: the contract.
        earlier: published parts of the `max_lateness_days` days before the first day of `checked`.
        connection: where `checked` is.
    """
    key = ", ".join(quote(name) for name in table.key)
    window = table.time.max_lateness_days or 0
    connection.execute(f"create or replace temp view earlier as {_earlier_sql(key, earlier)}")
    connection.execute(
        f"create or replace temp table repeated as with keys as ("
        f"  select hash({key}) as h from checked where _reasons is null"
        f"  union all select hash({key}) from earlier"
        f") select h from keys group by h having count(*) > 1"
    )
    # exact work only for keys whose hash repeats: few, or none
    connection.execute(
        f"create or replace temp table twice as select rowid as id, _day, {key}, "
        f"row_number() over (partition by {key}, _day order by _source, _row) as place "
        f"from checked where _reasons is null and hash({key}) in (from repeated)"
    )
    connection.execute(
        f"update checked set _reasons = ['duplicate'] where rowid in (select id from twice where place > 1 "
        f"or ({key}, _day) not in "
        f"(with recursive {_kept_sql(table.key, window)} select {key}, _day from kept))"
    )


def _earlier_sql(key: str, earlier: Sequence[Path]) -> str:
    if not earlier:
        return f"select {key}, null::date as _day from checked limit 0"
    return f"select {key}, event_day as _day from {parquet(*earlier, options=BY_DAY)}"


def _kept_sql(names: Sequence[str], window: int) -> str:
    """The days on which a key has a good row: the first, then each more than `window` days after the last."""
    plain = ", ".join(quote(name) for name in names)
    key = ", ".join(f"twice.{quote(name)}" for name in names)
    return f"""
seen as (
    select {plain}, max(_day) as last_day from earlier where hash({plain}) in (from repeated) group by all
),
kept as (
    select {key}, min(twice._day) as _day
    from twice left join seen using ({plain})
    where seen.last_day is null or twice._day > seen.last_day + {window}
    group by {key}
    union all
    select {key}, min(twice._day) as _day
    from kept join twice using ({plain})
    where twice._day > kept._day + {window}
    group by {key}, kept._day
)"""
