"""The point-in-time join in SQL: which source row was the newest known one for each key at each moment.

One entity row asks, per feature view, for a (key, moment). Four steps, all on temporary tables that spill:

1. `wanted_i`   the distinct (key, moment) pairs of view i; a customer ranked 200 times at one moment asks
once; 2. `matched_i`  `asof join` of those with the source's keys and timestamps only, payload stays on
disk; 3. `values_i`   the payload of the matched rows, by equality join; 4. `located`    the entity rows
with the id of their pair in each view; read in slices of the caller's order.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from feature_repo.stores.session import OfflineStoreError, one_row, quote

ROW = "__row"
MOMENT = "__moment"


@dataclass(frozen=True)
class Column:
    """A source column, the name it goes out by, and the SQL type it is cast to (None: as it is)."""

    source: str
    name: str
    type: str | None = None

    def of(self, alias: str) -> str:
        """SQL expression for the column of the relation called `alias`."""
        return cast(f"{alias}.{quote(self.source)}", self.type)


@dataclass(frozen=True)
class ViewJoin:
    """What the join needs to know of one feature view.

    `keys` go out by the name of the entity rows' column; `created` is the column saying when a row became
    known; `ttl_seconds` 0 means that values never expire; `corrections` off means that `created` only
    breaks ties.
    """

    relation: str
    keys: tuple[Column, ...]
    features: tuple[Column, ...]
    timestamp: str
    created: str | None
    ttl_seconds: float
    corrections: bool = True


def cast(expression: str, type_name: str | None) -> str:
    """`expression` cast to `type_name`, if there is one."""
    return f"cast({expression} as {type_name})" if type_name else expression


def moment(expression: str) -> str:
    """SQL for a date, a naive (UTC) or a zoned timestamp as naive UTC; the session's time zone is UTC."""
    return f"cast({expression} as timestamp)"


def load_entities(connection: duckdb.DuckDBPyConnection, relation: str, timestamp: str) -> int:
    """Copy the entity rows into `entities`, numbered in the order they come; returns how many there are."""
    connection.execute(
        f"create temp table entities as select *, {moment(quote(timestamp))} as {MOMENT}, "
        f"row_number() over () - 1 as {ROW} from {relation} as asked"
    )
    return int(one_row(connection, "select count(*) from entities")[0])


def resolve(connection: duckdb.DuckDBPyConnection, joins: list[ViewJoin]) -> None:
    """Make `values_i` for each view and `located`, the entity rows with `__id_i` per view."""
    for number, join in enumerate(joins):
        connection.execute(_wanted(number, join))
        connection.execute(_matched(number, join))
        connection.execute(_values(number, join, ties=False))
        if _has_ties(connection, number):
            connection.execute(_values(number, join, ties=True))
        connection.execute(f"drop table matched_{number}")
    connection.execute(_located(joins))
    connection.execute("drop table entities")
    for number in range(len(joins)):
        connection.execute(f"drop table wanted_{number}")


def slice_sql(columns: list[str], joins: list[ViewJoin]) -> str:
    """SQL for entity rows `? <= row < ?` in order, with every view's features."""
    chosen = [f"e.{quote(name)}" for name in columns]
    chosen += [
        f"v{number}.f{position} as {quote(feature.name)}"
        for number, join in enumerate(joins)
        for position, feature in enumerate(join.features)
    ]
    views = "".join(
        f" left join values_{number} as v{number} on v{number}.id = e.__id_{number}" for number in range(len(joins))
    )
    return (
        f"with slice as (select * from located where {ROW} >= ? and {ROW} < ?) "
        f"select {', '.join(chosen)} from slice as e{views} order by e.{ROW}"
    )


def _wanted(number: int, join: ViewJoin) -> str:
    keys = [f"{cast('e.' + quote(key.name), key.type)} as k{at}" for at, key in enumerate(join.keys)]
    present = [f"e.{MOMENT} is not null", *(f"e.{quote(key.name)} is not null" for key in join.keys)]
    return (
        f"create temp table wanted_{number} as "
        f"select {', '.join([*keys, f'e.{MOMENT} as moment', f'min(e.{ROW}) as id'])} "
        f"from entities as e where {' and '.join(present)} group by all"
    )


def _matched(number: int, join: ViewJoin) -> str:
    """Per wanted pair, the (valid_at, known_at) of its row; nothing for pairs without one."""
    names = [f"k{at}" for at in range(len(join.keys))]
    listed = "".join(f"{name}, " for name in names)
    equal = "".join(f"w.{name} = v.{name} and " for name in names)
    ttl = f" and v.valid_at >= w.moment - {_interval(join)}" if join.ttl_seconds else ""
    return f"""
        create temp table matched_{number} as
        with
        known as ({_known(number, join)}),
        visible as ({_visible(join, listed, names)})
        select w.id, {"".join(f"w.{name}, " for name in names)}v.valid_at, v.known_at
        from wanted_{number} as w asof join visible as v on {equal}w.moment >= v.seen_at
        where true{ttl}
    """


def _known(number: int, join: ViewJoin) -> str:
    """Keys, validity and knowledge time of the source rows that any wanted pair could see."""
    valid_at = moment(f"s.{quote(join.timestamp)}")
    keys = "".join(f"{key.of('s')} as k{at}, " for at, key in enumerate(join.keys))
    oldest = f" and {valid_at} >= (select min(moment) - {_interval(join)} from wanted_{number})"
    equal = " and ".join(f"{key.of('s')} = w.k{at}" for at, key in enumerate(join.keys))
    wanted = f"semi join wanted_{number} as w on {equal} " if join.keys else ""
    return (
        f"select {keys}{valid_at} as valid_at, {_known_at(join)} as known_at "
        f"from {join.relation} as s {wanted}"
        f"where {valid_at} <= (select max(moment) from wanted_{number}){oldest if join.ttl_seconds else ''}"
    )


def _known_at(join: ViewJoin) -> str:
    valid_at = moment(f"s.{quote(join.timestamp)}")
    return f"coalesce({moment('s.' + quote(join.created))}, {valid_at})" if join.created else valid_at


def _visible(join: ViewJoin, listed: str, names: list[str]) -> str:
    """From when on (`seen_at`) which row is the newest known one.

    A row shows from the later of being valid and being known. As a late correction may show after a newer row
    did, the newest of all rows shown so far counts: newest `valid_at`, then newest `known_at`.
    """
    if not join.created:
        return f"select {listed}valid_at as seen_at, valid_at, known_at from known"
    seen_at = "greatest(valid_at, known_at)" if join.corrections else "valid_at"
    window = f"partition by {', '.join(names)} order by" if names else "order by"
    return f"""
        select {listed}seen_at, newest.valid_at as valid_at, newest.known_at as known_at
        from (
            select {listed}{seen_at} as seen_at,
                max({{'valid_at': valid_at, 'known_at': known_at}}) over (
                    {window} {seen_at} range between unbounded preceding and current row
                ) as newest
            from known
        ) as shown
    """


def _values(number: int, join: ViewJoin, *, ties: bool) -> str:
    """The payload of the matched rows; among rows equal in key and both times the greatest row counts.

    Rows are compared column by column in the source's order, so the choice depends on the data alone and
    not on which features were asked for.
    """
    features = "".join(f", {feature.of('s')} as f{at}" for at, feature in enumerate(join.features))
    keys = "".join(f"{key.of('s')} = m.k{at} and " for at, key in enumerate(join.keys))
    valid_at = moment(f"s.{quote(join.timestamp)}")
    return (
        f"create or replace temp table values_{number} as "
        f"select {'distinct on (m.id) ' if ties else ''}m.id{features} "
        f"from {join.relation} as s join matched_{number} as m "
        f"on {keys}{valid_at} = m.valid_at and {_known_at(join)} = m.known_at"
        f"{' order by m.id, s desc' if ties else ''}"
    )


def _has_ties(connection: duckdb.DuckDBPyConnection, number: int) -> bool:
    return bool(one_row(connection, f"select count(*) > count(distinct id) from values_{number}")[0])


def _located(joins: list[ViewJoin]) -> str:
    ids = "".join(f", w{number}.id as __id_{number}" for number in range(len(joins)))
    pairs = ""
    for number, join in enumerate(joins):
        equal = [f"{cast('e.' + quote(key.name), key.type)} = w{number}.k{at}" for at, key in enumerate(join.keys)]
        on = " and ".join([*equal, f"e.{MOMENT} = w{number}.moment"])
        pairs += f" left join wanted_{number} as w{number} on {on}"
    return f"create temp table located as select e.*{ids} from entities as e{pairs}"


def _interval(join: ViewJoin) -> str:
    return f"to_microseconds({round(join.ttl_seconds * 1_000_000)})"


def check_names(columns: list[str], joins: list[ViewJoin]) -> None:
    """Refuse entity columns and features that would go out under one name.

    Raises:
        OfflineStoreError: naming them.
    """
    names = [*columns, *(feature.name for join in joins for feature in join.features)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OfflineStoreError(
            f"columns {', '.join(twice)} would appear twice in the result: rename them in the entity rows "
            "or ask for full_feature_names=True"
        )
