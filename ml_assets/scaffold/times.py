"""When an event happened: timestamps, dates, counts of units since some day, or text in one unambiguous form.

Nearly all values decide; the others are shown, and ingestion sets their rows aside.
"""

from __future__ import annotations

from dataclasses import dataclass

from ml_assets.ingestion.contract.offsets import says_offset
from ml_assets.ingestion.reading.readers import literal, quote
from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.kinds import NEARLY, Kind, shown
from ml_assets.scaffold.profile import Look
from ml_assets.scaffold.raw_column import Column

DATES = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y%m%d", "%Y.%m.%d", "%d %b %Y", "%d-%b-%Y",
         "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%d.%m.%y")  # fmt: skip
CLOCKS = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S.%f", ", %H:%M", ", %H:%M:%S",
          ", %I:%M:%S %p", "%H%M%S")  # fmt: skip
ISO = "ISO 8601"
EPOCH = {"seconds": 1, "milliseconds": 1000, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}
EARLIEST, LATEST = 315_532_800, 4_102_444_800
"""Seconds since 1970 that are taken for a time: 1980 to 2100."""
EXCEL, FIRST_SERIAL, LAST_SERIAL = "excel", 29_221, 73_051
"""Days of Excel since 1899-12-30 that are taken for a time: 1980 to 2100."""
SAMPLE = 300
"""Different values on which a form is tried before it is tried on all."""


@dataclass(frozen=True)
class Moment:
    """How the file says a time.

    Attributes:
        sql: over the raw columns; makes a TIMESTAMP, or null of what is no such time.
        said: the same for people.
        notes: what is assumed about it, for people.
    """

    sql: str
    said: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Texts:
    """The known values of a column that may say times."""

    look: Look
    column: Column

    @property
    def text(self) -> str:
        return quote(self.column.raw)

    @property
    def known(self) -> str:
        named = "".join(f" and {self.text} <> {literal(word)}" for word in self.column.unknown)
        return f"{self.text} is not null{named}"

    @property
    def count(self) -> int:
        return self.such("true")

    def such(self, condition: str) -> int:
        """How many known values are such."""
        sql = f"select count(*) filter ({condition}) from raw where {self.known}"
        [(count,)] = self.look.connection.execute(sql).fetchall()
        return int(count)

    def examples(self, condition: str, limit: int = 3) -> str:
        """Some known values that are such, the most frequent first."""
        sql = f"""select {self.text} from raw where {self.known} and coalesce({condition}, false)
            group by 1 order by count(*) desc, 1 limit {limit}"""
        return shown(value for (value,) in self.look.connection.execute(sql).fetchall())

    def but(self, condition: str, said: str) -> tuple[str, ...]:
        """A note on those that are not such, where there are some."""
        apart = f"not coalesce({condition}, false)"
        if not (count := self.such(apart)):
            return ()
        among = f"{count:,} of {self.count:,} values of {self.column.raw} are not {said}"
        return (f"{among}, e.g. {self.examples(apart)}: their rows go to quarantine",)

    def reads(self, form: str) -> str:
        """SQL: whether a value has this form."""
        if form == ISO:
            return f"isfinite(try_cast({self.text} as timestamptz))"
        whole = " >= 1000" if "%Y" in form else " is not null"  # 25 is no year of four digits, although SQL takes it
        return f"year(try_strptime({self.text}, {literal(form)})){whole}"


def moment_of(look: Look, column: Column, form: str | None = None) -> Moment:
    """How a column says when something happened.

    Args:
        look: the file.
        column: the one that has the times.
        form: its format as `strptime` takes it, or a unit (`excel`, `seconds`, ...), where the texts alone do not say.

    Raises:
        ScaffoldError: when it is no time, may be read in two ways, or is written in two; it shows the values.
    """
    texts = _Texts(look, column)
    if not texts.count:
        raise ScaffoldError(f"{column.raw}: no row has a time; name another column with --time")
    if form is not None:
        return _asked(texts, form)
    if column.kind is Kind.MOMENT:
        return _iso(texts)
    return _counted(texts) or _text(texts)


def _asked(texts: _Texts, form: str) -> Moment:
    if form in (EXCEL, *EPOCH):
        return _unit(texts, form)
    fits = texts.reads(form)
    count, found = texts.count, texts.such(fits)
    if found < NEARLY * count:
        others = texts.examples(f"not coalesce({fits}, false)")
        raise ScaffoldError(
            f"{texts.column.raw}: not every value has the form {form}: "
            f"{count - found:,} of {count:,} do not, e.g. {others}"
        )
    return Moment(f"try_strptime({texts.column.known_sql}, {literal(form)})", form, texts.but(fits, form))


def _iso(texts: _Texts) -> Moment:
    text, raw = texts.column.known_sql, texts.text
    offset = says_offset(raw)
    count, with_offset = texts.count, texts.such(offset)
    notes = texts.but(texts.reads(ISO), "times")
    if 0 < with_offset < count:
        notes += (
            f"WARNING {with_offset:,} of {count:,} values of {texts.column.raw} say their distance from UTC, e.g. "
            f"{texts.examples(offset, 1)}; the others, e.g. {texts.examples(f'not {offset}', 1)}, are taken for UTC",
        )
    if with_offset:
        return Moment(f"try_cast({text} as timestamptz)::timestamp", f"{ISO} with offsets, as UTC", notes)
    return Moment(f"try_cast({text} as timestamp)", ISO, notes)


def _counted(texts: _Texts) -> Moment | None:
    """A count of units since some day, where nearly all values are numbers that are one."""
    number = f"try_cast({texts.text} as double)"
    spans = {unit: (EARLIEST * scale, LATEST * scale) for unit, scale in EPOCH.items()}
    spans[EXCEL] = (FIRST_SERIAL, LAST_SERIAL)
    least = NEARLY * texts.count
    within = {unit: f"{number} between {low} and {high}" for unit, (low, high) in spans.items()}
    counts = {unit: texts.such(condition) for unit, condition in within.items()}
    for unit, count in counts.items():
        if count >= least:
            return _unit(texts, unit)
    if sum(counts.values()) >= least:
        found = (f"{n:,} as {unit}, e.g. {texts.examples(within[unit], 1)}" for unit, n in counts.items() if n)
        raise ScaffoldError(
            f"{texts.column.raw} counts in more than one unit: {'; '.join(found)}: write it in one, or name another "
            "column with --time"
        )
    return None


def _unit(texts: _Texts, unit: str) -> Moment:
    text, name = texts.column.known_sql, texts.column.raw
    if unit == EXCEL:
        seconds = f"cast(round(try_cast({text} as double) * 86400) as bigint)"
        sql, said = f"try(timestamp '1899-12-30' + to_seconds({seconds}))", "Excel's serial days (counted from 1900)"
    elif unit == "nanoseconds":
        sql, said = f"try(make_timestamp(try_cast({text} as bigint) // 1000))", "nanoseconds since 1970, UTC"
    else:
        whole = f"cast(try_cast({text} as double) as bigint)"
        sql, said = f"try(make_timestamp({whole} * {1_000_000 // EPOCH[unit]}))", f"{unit} since 1970, UTC"
    found = texts.look.connection.execute(
        f"select {texts.text}, {sql} from raw where {sql} is not null limit 1"
    ).fetchone()
    if found is None:
        raise ScaffoldError(f"{name} says no {said}, e.g. {shown(texts.column.values[:3])}")
    note = f"{name} is read as {said}: {found[0]} is {found[1]:%Y-%m-%d %H:%M:%S}"
    return Moment(sql, said, (note, *texts.but(f"{sql} is not null", said)))


def _text(texts: _Texts) -> Moment:
    raw, count = texts.column.raw, texts.count
    counted = {form: texts.such(texts.reads(form)) for form in _likely(texts)}
    best = max(counted, key=lambda form: counted[form], default=None)
    if best is None or not counted[best]:
        raise ScaffoldError(
            f"{raw} is no time that is understood, e.g. {shown(texts.column.values[:3])}: name another column "
            "with --time, or say how it is written with --time-format, e.g. '%d/%m/%Y %H:%M'"
        )
    _check_one_system(texts, best, counted, count)
    for other, hits in counted.items():
        if other == best or hits < NEARLY * count:
            continue
        differs = f"try_strptime({texts.text}, {literal(best)}) <> try_strptime({texts.text}, {literal(other)})"
        if texts.such(differs):
            raise ScaffoldError(
                f"{raw} may be read in two ways, {best} and {other} (e.g. {texts.examples(differs, 1)}): "
                f"say which with --time-format '{best}' or --time-format '{other}'"
            )
    note = f"{raw} is read as {best}, as UTC"
    return Moment(
        f"try_strptime({texts.column.known_sql}, {literal(best)})", best, (note, *texts.but(texts.reads(best), best))
    )


def _likely(texts: _Texts) -> list[str]:
    """The forms that read some of a sample of the values."""
    texts.look.connection.execute(
        f"create or replace temp table sampled as select distinct {texts.text} as value from raw where {texts.known} "
        f"order by hash(value) limit {SAMPLE}"
    )
    forms = [day + clock for day in DATES for clock in CLOCKS]
    tried = ", ".join(f"count(try_strptime(value, {literal(form)}))" for form in forms)
    [found] = texts.look.connection.execute(f"select {tried} from sampled").fetchall()
    return [form for form, hits in zip(forms, found, strict=True) if hits] + [ISO]


def _check_one_system(texts: _Texts, best: str, counted: dict[str, int], count: int) -> None:
    """Refuse a column of which one form reads too little, or whose day and month change places."""
    raw, missed = texts.column.raw, f"not coalesce({texts.reads(best)}, false)"
    others = {form: texts.such(f"{missed} and {texts.reads(form)}") for form in counted if form != best}
    second = max(others, key=lambda form: others[form], default=None)
    swapped = second is not None and others[second] > 0 and _swapped(best) == second
    if counted[best] >= NEARLY * count and not swapped and best != ISO:
        return
    if second is not None and others[second] > 0:
        only = f"not coalesce({texts.reads(second)}, false) and {texts.reads(best)}"
        raise ScaffoldError(
            f"{raw} is written in two systems: {counted[best]:,} of {count:,} values may be {best} (only that: "
            f"{texts.examples(only, 1)}), {others[second]:,} of the others {second} ({texts.examples(missed, 1)}). "
            "No form reads both, and a value that may be either would be guessed: write the column in one form, "
            "e.g. 2025-03-31 09:30, or name another with --time"
        )
    raise ScaffoldError(
        f"{raw}: {counted[best]:,} of {count:,} values have the form {best}, and {count - counted[best]:,} do not, "
        f"e.g. {texts.examples(missed)}: correct them, or name another column with --time"
    )


def _swapped(form: str) -> str:
    """The form with day and month in each other's place."""
    return form.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")
