"""The point-in-time join in SQL: which source row was the newest known one for each key at each moment.

Each feature view gets a temporary table `values_i` with one row per entity row, in the order of the entity
rows, from one `asof join` that carries nothing but keys, moment and place. The result lays these tables side
by side: that needs no memory, however many views and features there are. What does not fit spills.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from feature_repo.stores.entity_rows import EntityRows
from feature_repo.stores.session import OfflineStoreError, instant, moment, one_row, quote

SHARED = 2
"""Entity rows per different (keys, moment) from which on each pair is looked up once and handed to its rows."""
FEW = 8
"""Source rows per (keys, moment) asked for from which on other keys are dropped before sorting."""


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

    @property
    def valid_at(self) -> str:
        """SQL for when a row of the source `s` became valid."""
        return moment(f"s.{quote(self.timestamp)}")

    @property
    def known_at(self) -> str:
        """SQL for when a row of the source `s` became known: when it became valid, where nothing says."""
        return f"coalesce({moment('s.' + quote(self.created))}, {self.valid_at})" if self.created else self.valid_at

    @property
    def ttl(self) -> str:
        """SQL for how long values hold."""
        return f"to_microseconds({round(self.ttl_seconds * 1_000_000)})"

    @property
    def names(self) -> list[str]:
        """Names of the keys in a log and among what is asked."""
        return [f"k{at}" for at in range(len(self.keys))]

    @property
    def texts(self) -> bool:
        """Whether text is among the keys, and every key has one type on both sides: then digests sort faster."""
        types = [key.type for key in self.keys]
        return "varchar" in types and None not in types

    def asked(self, entities: EntityRows) -> str:
        """SQL for keys, moment and place of the entity rows."""
        keys = [f"{cast(entities.column(key.name), key.type)} as k{at}" for at, key in enumerate(self.keys)]
        return f"(select {', '.join([*keys, 'moment', 'rowid as place'])} from entities)"


def cast(expression: str, type_name: str | None) -> str:
    """`expression` cast to `type_name`, if there is one."""
    return f"cast({expression} as {type_name})" if type_name else expression


def digest(names: list[str]) -> str:
    """SQL for a number that is the same for the same values, and hardly ever for others."""
    return f"hash({', '.join(names)})"


def resolve(connection: duckdb.DuckDBPyConnection, entities: EntityRows, joins: list[ViewJoin]) -> str:
    """Make `values_i` for each view; returns the SQL for all entity rows in order, with the features of each."""
    for number, (join, pairs) in enumerate(zip(joins, _pairs(connection, entities, joins), strict=True)):
        restricted = _restricted(connection, number, join, entities, pairs)
        log = _log(join, entities, restricted)
        if one_row(connection, f"select count(*) > count(distinct {_moments(join)}) from {log} as l")[0]:
            log = _untied(join, log)
        made = f"create or replace temp table values_{number} as "
        if pairs * SHARED <= entities.rows:
            connection.execute(made + _shared_values(join, entities, log))
            continue
        connection.execute(made + _own_values(join, entities, log, digests=join.texts))
        if join.texts and one_row(connection, f"select count(*) filter (mixed) from values_{number}")[0]:
            connection.execute(made + _own_values(join, entities, log, digests=False))
    return _side_by_side(entities, joins)


def _side_by_side(entities: EntityRows, joins: list[ViewJoin]) -> str:
    chosen = [f"e.c{at} as {quote(name)}" for at, name in enumerate(entities.columns)]
    chosen += [
        f"v{number}.f{at} as {quote(feature.name)}"
        for number, join in enumerate(joins)
        for at, feature in enumerate(join.features)
    ]
    views = "".join(f" positional join values_{number} as v{number}" for number in range(len(joins)))
    return f"select {', '.join(chosen)} from entities as e{views}"


def _pairs(connection: duckdb.DuckDBPyConnection, entities: EntityRows, joins: list[ViewJoin]) -> list[int]:
    """About how many different (keys, moment) each view is asked for."""
    columns = [[entities.column(key.name) for key in join.keys] for join in joins]
    counts = [f"approx_count_distinct({digest([*keys, 'moment'])})" for keys in columns]
    return list(one_row(connection, f"select {', '.join(counts)} from entities")) if joins else []


def _restricted(
    connection: duckdb.DuckDBPyConnection, number: int, join: ViewJoin, entities: EntityRows, pairs: int
) -> str:
    """SQL that keeps of the source `s` only the keys asked for, where that spares sorting most of it."""
    if not join.keys or one_row(connection, f"select count(*) from {join.relation} as s")[0] < pairs * FEW:
        return ""
    listed = ", ".join(join.names)
    connection.execute(f"create temp table asked_{number} as select distinct {listed} from {join.asked(entities)}")
    equal = " and ".join(f"{key.of('s')} = a.k{at}" for at, key in enumerate(join.keys))
    return f" semi join asked_{number} as a on {equal}"


def _log(join: ViewJoin, entities: EntityRows, restricted: str) -> str:
    """The source as rows that some entity row could see, each from `seen_at` until the next one of its keys.

    A row shows from the later of being valid and being known; one that shows only after a newer one did
    never counts.
    """
    corrected = bool(join.created) and join.corrections
    seen_at = f"greatest({join.valid_at}, {join.known_at})" if corrected else join.valid_at
    columns = [f"{key.of('s')} as k{at}" for at, key in enumerate(join.keys)]
    columns += [f"{feature.of('s')} as f{at}" for at, feature in enumerate(join.features)]
    columns += [f"{seen_at} as seen_at", f"{join.valid_at} as valid_at", f"{join.known_at} as known_at"]
    rows = [f"r.seen_at <= {instant(entities.last)}", *(f"r.{name} is not null" for name in join.names)]
    rows += [f"r.valid_at >= {instant(entities.first)} - {join.ttl}"] if join.ttl_seconds else []
    partition = f"partition by {', '.join(f'r.{name}' for name in join.names)} " if join.keys else ""
    newest = f" qualify r.valid_at = max(r.valid_at) over ({partition}order by r.seen_at)" if corrected else ""
    # Every name here is qualified: a bare one could mean a column of the other side of the join.
    return (
        f"(select r.* from (select {', '.join(columns)}, s as source from {join.relation} as s{restricted}) as r "
        f"where {' and '.join(rows)}{newest})"
    )


def _untied(join: ViewJoin, log: str) -> str:
    """The log with one row for each keys and time: the one known last, among equals the greatest.

    Rows are compared column by column in the source's order, so the choice depends on the data alone and
    not on which features were asked for. Only rows that share a digest are compared at all.
    """
    same = ", ".join(f"l.{name}" for name in [*join.names, "seen_at"])
    tied = f"join tied as t on {_moments(join)} = t.digest"
    return f"""(
        with tied as materialized (
            select {_moments(join)} as digest from {log} as l group by digest having count(*) > 1
        )
        select * exclude (source) from {log} as l anti {tied}
        union all (
            select distinct on ({same}) * exclude (source) from {log} as l semi {tied}
            order by {same}, l.known_at desc, l.source desc
        )
    )"""


def _moments(join: ViewJoin) -> str:
    """Digest of keys and time of a row of the log `l`."""
    return digest([f"l.{name}" for name in [*join.names, "seen_at"]])


def _features(join: ViewJoin) -> str:
    """The features of the row of `l` that `e` found, null when they expired."""
    names = [f"f{at}" for at in range(len(join.features))]
    if not join.ttl_seconds:
        return ", ".join(f"l.{name}" for name in names)
    return ", ".join(f"case when e.moment <= l.valid_at + {join.ttl} then l.{name} end as {name}" for name in names)


def _own_values(join: ViewJoin, entities: EntityRows, log: str, *, digests: bool) -> str:
    """Every entity row looks its features up; with `digests` by those of its keys, `mixed` where they mixed keys up.

    What is found under its own key is the newest of that key even if the digest also stands for others.
    """
    ours, theirs = ([f"{side}.{name}" for name in join.names] for side in "el")
    equal = [f"{our} = {their}" for our, their in zip(ours, theirs, strict=True)]
    on = [f"{digest(ours)} = {digest(theirs)}"] if digests else equal
    mixed = f", l.seen_at is not null and ({' and '.join(equal)}) is not true as mixed" if digests else ""
    return (
        f"select {_features(join)}{mixed} from {join.asked(entities)} as e "
        f"asof left join {log} as l on {' and '.join([*on, 'e.moment >= l.seen_at'])} order by e.place"
    )


def _shared_values(join: ViewJoin, entities: EntityRows, log: str) -> str:
    """Every different (keys, moment) is looked up once: a customer with 200 candidates asks once, not 200 times."""
    pair = [*join.names, "moment"]
    equal = "".join(f"e.{name} = l.{name} and " for name in join.names)
    given = ", ".join(f"f.f{at}" for at in range(len(join.features)))
    return f"""
        with pairs as (select distinct {", ".join(pair)} from {join.asked(entities)}),
        found as (
            select {", ".join(f"e.{name}" for name in pair)}, {_features(join)}
            from pairs as e asof join {log} as l on {equal}e.moment >= l.seen_at
        )
        select {given} from {join.asked(entities)} as e
        left join found as f on {" and ".join(f"e.{name} = f.{name}" for name in pair)} order by e.place
    """


def check_names(columns: tuple[str, ...], joins: list[ViewJoin]) -> None:
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
