"""What an event is called: by a column of the file, else by what its caller knows of it, never by how it came out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ml_assets.config.keys import LONGEST, unfit_sql
from ml_assets.config.source_spec import TableSpec
from ml_assets.ingestion.reading.readers import quote
from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.kinds import Kind
from ml_assets.scaffold.names import looks_like_id
from ml_assets.scaffold.options import Wanted
from ml_assets.scaffold.profile import Look
from ml_assets.scaffold.raw_column import Column
from ml_assets.scaffold.times import Moment

JUDGED = TableSpec.model_fields["quarantine_min_rows"].default
"""Rows from which on ingestion judges a day's quarantine by itself."""
ALIKE = 0.05
"""Share of rows without an id of their own from which on the file needs an id."""


@dataclass(frozen=True)
class Identity:
    """The event's id.

    Attributes:
        column: the one that is it; None: it is made up.
        sql: SQL over the raw columns that makes it.
        parts: columns it is made up of.
        digest: whether it is the MD5 of these.
        misfit: SQL over the raw columns: whether a row has a value that is not of its column's kind.
        repeated: rows with the id of another one.
        worst: largest share of such rows, and of those whose entity no request can name, in a day judged by itself.
    """

    column: Column | None
    sql: str
    parts: tuple[str, ...]
    digest: bool
    misfit: str
    repeated: int
    worst: float

    @property
    def words(self) -> str:
        """How a caller makes it, for people."""
        made = "|".join(self.parts)
        return f"MD5 of {made}" if self.digest else made


def identity_of(look: Look, wanted: Wanted, moment: Moment, late: Iterable[str]) -> Identity:
    """The id of an event; `late` are columns known only after it. Reads the view `dated`.

    Raises:
        ScaffoldError: when the id that was asked for identifies nothing, or too many rows are alike without one.
    """
    column = _column(look, wanted)
    if column is not None:
        return _measured(look, wanted, column, column.key_sql)
    keys = [look.column(name) for name in wanted.entities]
    time, after = look.column(wanted.time), {look.column(name).raw for name in (*wanted.known_after, wanted.label)}
    taken = {time.raw, *after, *(key.raw for key in keys)}
    further = [each for each in look.columns if each.raw not in taken and each.name not in set(late)]
    found = [f"coalesce({key.key_sql}, '')" for key in keys] + [f"coalesce(({moment.sql})::varchar, '')"]
    parts = [*(key.name for key in keys), time.name]
    for other in sorted(further, key=lambda each: -each.distinct):
        if not _alike(look, found):
            break
        found.append(f"coalesce({_text(other)}, '')")
        parts.append(other.name)
    made = f"concat_ws('|', {', '.join(found)})"
    longest = look.connection.execute(f"select max(length({made})) from dated").fetchall()[0][0]
    digest = longest > LONGEST
    identity = _measured(look, wanted, None, f"md5({made})" if digest else made, tuple(parts), digest=digest)
    if identity.repeated > ALIKE * look.rows:
        raise ScaffoldError(
            f"no column identifies an event, and {identity.repeated:,} of {look.rows:,} rows are like another one in "
            f"all known with it ({', '.join(parts)}): give each row an id that the caller of the service knows, "
            "for example a running number, and name its column with --id; take out first the rows that are there twice"
        )
    return identity


def _column(look: Look, wanted: Wanted) -> Column | None:
    """The column that identifies an event: as asked for, else one with a value of its own in each row."""
    taken = {look.column(name).raw for name in (*wanted.entities, wanted.time, wanted.label)}
    if wanted.event is not None:
        column = look.column(wanted.event)
        if (distinct := _distinct(look, column)) < look.rows:
            raise ScaffoldError(f"{column.raw} has {distinct:,} values in {look.rows:,} rows: it is no event's id")
        return column
    after = {look.column(name).raw for name in wanted.known_after}
    unique = [each for each in look.columns if each.raw not in taken | after and _distinct(look, each) == look.rows]
    whole = [column for column in unique if column.kind in {Kind.WHOLE, Kind.TEXT} and looks_like_id(column.name)]
    texts = [column for column in unique if column.kind is Kind.TEXT]
    tokens = [column for column in texts if all(len(v) <= LONGEST and " " not in v for v in column.values)]
    return next(iter([*whole, *tokens]), None)


def _distinct(look: Look, column: Column) -> int:
    """Different values of a column as a name, which may be of any kind."""
    if not column.misfits:
        return column.distinct
    [(count,)] = look.connection.execute(f"select count(distinct {column.known_sql}) from raw").fetchall()
    return int(count)


def _text(column: Column) -> str:
    """SQL: a value as a caller writes it: a number as 3.0 however the file does."""
    return f"try_cast({column.from_sql} as double)::varchar" if column.numeric else column.known_sql


def _alike(look: Look, parts: list[str]) -> bool:
    """Whether two rows that differ have the same values."""
    distinct = f"count(distinct hash({', '.join(parts)}))"
    sql = f"select count(distinct hash(rows)) > {distinct} from dated as rows where _at is not null"
    return bool(look.connection.execute(sql).fetchall()[0][0])


def _measured(
    look: Look, wanted: Wanted, column: Column | None, sql: str, parts: tuple[str, ...] = (), *, digest: bool = False
) -> Identity:
    odd = " or ".join(unfit_sql(quote(look.column(key).raw)) for key in wanted.entities)
    taken = {look.column(name).raw for name in (*wanted.entities, wanted.time)} | ({column.raw} if column else set())
    misfit = " or ".join(each.misfit_sql for each in look.columns if each.misfits and each.raw not in taken) or "false"
    [(repeated, worst)] = look.connection.execute(
        f"""select coalesce(sum(more) filter (_day is not null), 0)::bigint,
            coalesce(max((more + odd) / found) filter (found >= {JUDGED}), 0)
        from (
            select _at::date as _day, count(*) as found, count(*) - count(distinct {sql}) as more,
                count_if({odd} or {misfit}) as odd
            from dated group by 1
        )"""
    ).fetchall()
    return Identity(column, sql, parts, digest, misfit, repeated, min(worst, 1.0))
