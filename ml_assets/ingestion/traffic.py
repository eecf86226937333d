"""Does a day look broken rather than different: volume, shares of values, nulls and bad rows against the days before.

A customer who changes his mind moves shares a little; a tracker that loses a kind of event, a join that loses its
keys or an export that stops halfway moves them a lot, from one day to the next. So a finding has to pass three bars:

- practical: a share moved by `shift` and its odds by the factor `factor`; the volume by the factor `volume`;
- against whom: the pooled days before, and the median of the same weekdays as well;
- statistical: so far off by chance on fewer than `1 - confidence` of the days.

Shares are beta-binomial: the days before give the prior, with every count divided by the overdispersion that they
show (McCullagh and Nelder 1989, 4.5: Pearson's chi-square over its degrees of freedom), at least `BUNCH`. Days
that are themselves beyond the practical bars are left out of the comparison, or one bad day would hide the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Literal

import duckdb

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import SourceSpec, TableSpec, TrafficSpec
from ml_assets.ingestion.publish import part
from ml_assets.ingestion.reading.readers import BY_DAY, literal, parquet, quote

RECENT_DAYS, WEEKS = 14, 4
"""Days looked back on: all of the last 14, and the same weekday of the last 4 weeks."""
BUNCH = 10.0
"""Least overdispersion: the rows of a visit or a basket share what is wrong with them."""
VOLUME, QUARANTINED, DUPLICATES = "rows", "quarantined", "duplicates"

Counts = Mapping[str, int]
Trial = tuple[int, int]
"""Rows with something, of how many."""
State = Literal["judged", "no history yet", "too few rows", "switched off"]


@dataclass(frozen=True)
class Measure:
    """One figure of the day beside its usual value; shares of rows, except for the volume, which is in rows.

    Attributes:
        name: `rows`, `<column>=<value>`, `<column> missing`, `quarantined` or `duplicates`.
        value: of the day.
        usual: of the days before.
        chance: probability of a day this far off by chance, on its side.
        broken: beyond the practical bar and too unlikely.
    """

    name: str
    value: float
    usual: float
    chance: float
    broken: bool

    @property
    def distance(self) -> float:
        """How far off it is: of rows and of shares, the logarithm of how many times."""
        least = 1.0 if self.name == VOLUME else 0.001
        return abs(math.log((self.value + least) / (self.usual + least)))

    @property
    def text(self) -> str:
        """One phrase for people."""
        form = ",.0f" if self.name == VOLUME else ".1%"
        return f"{self.name} {self.value:{form}}, usually {self.usual:{form}}"


@dataclass(frozen=True)
class TrafficReport:
    """Whether a day may be trusted.

    Attributes:
        table: of the lake.
        day: the partition.
        state: whether there was anything to judge by.
        ok: nothing looks broken (or nothing could be judged: see `passed`).
        text: one line for people.
        measures: every figure that was judged.
        compared: how many days before were looked at.
    """

    table: str
    day: date
    state: State
    ok: bool
    text: str
    measures: tuple[Measure, ...] = ()
    compared: int = 0

    @property
    def findings(self) -> tuple[Measure, ...]:
        """What looks broken."""
        return tuple(measure for measure in self.measures if measure.broken)

    @property
    def passed(self) -> bool | None:
        """Whether nothing looks broken; None when nothing could be judged."""
        return self.ok if self.state == "judged" else None

    @property
    def weight(self) -> float:
        """How far off the worst of what looks broken is."""
        return max((measure.distance for measure in self.findings), default=0.0)


def traffic(settings: Settings, source: SourceSpec, table: str, day: date) -> TrafficReport:
    """Judge a day; as `traffic_of`."""
    return traffic_of(settings, source, table, [day])[day]


def traffic_of(settings: Settings, source: SourceSpec, table: str, days: Sequence[date]) -> dict[date, TrafficReport]:
    """Judge days of a table by what is in the lake, one query; the table's `traffic:` says how wide the bars are.

    Raises:
        IngestionError: when a day was never ingested.
    """
    spec = source.table(table)
    if not spec.traffic.enabled:
        return {
            day: TrafficReport(table, day, "switched off", True, f"{table}: traffic.enabled is false") for day in days
        }
    missing = [day for day in days if not part(settings.lake, table, day).exists()]
    if missing:
        problem = f"{table} of {missing[0]} was never ingested"
        raise IngestionError(problem, file=part(settings.lake, table, missing[0]), remedy=f"ingest {missing[0]}")
    before = {day: comparable(day) for day in days}
    needed = sorted({*days, *(each for past in before.values() for each in past)})
    counts = _count(settings, spec, [each for each in needed if part(settings.lake, table, each).exists()])
    return {
        day: judge(spec, day, {each: counts[each] for each in (day, *past) if each in counts})
        for day, past in before.items()
    }


def comparable(day: date) -> list[date]:
    """The days a day is compared with, newest first."""
    recent = {day - timedelta(days=n) for n in range(1, RECENT_DAYS + 1)}
    return sorted(recent | {day - timedelta(weeks=n) for n in range(1, WEEKS + 1)}, reverse=True)


def judge(table: TableSpec, day: date, counts: Mapping[date, Counts]) -> TrafficReport:
    """The verdict on a day from counts per day: `rows`, `quarantined`, `duplicates` and one per judged share."""
    spec, today = table.traffic, counts[day]
    past = {each: counted for each, counted in counts.items() if each != day}
    if len(past) < spec.min_history:
        text = f"{table.name} of {day}: no history yet, {len(past)} days before it and {spec.min_history} needed"
        return TrafficReport(table.name, day, "no history yet", True, text, compared=len(past))
    measures = [*_volume(spec, day, today, past)]
    if today[VOLUME] >= spec.min_rows:
        measures += _shares(spec, day, counts)
    state: State = "judged" if measures else "too few rows"
    broken = [measure for measure in measures if measure.broken]
    said = "; ".join(measure.text for measure in broken)
    if not broken:
        said = f"{len(measures)} figures like those of {len(past)} days before" if measures else "too few rows"
    text = f"{table.name} of {day}: {said}"
    return TrafficReport(table.name, day, state, not broken, text, tuple(measures), len(past))


def _volume(spec: TrafficSpec, day: date, today: Counts, past: Mapping[date, Counts]) -> Iterator[Measure]:
    """Rows against the median of the same weekdays; the noise is that of the days within the practical bar."""
    if spec.volume is None:
        return
    rows = {each: counted[VOLUME] + 1 for each, counted in past.items()}  # + 1: a day may be empty
    middle = median(rows.values())
    usual = median([n for each, n in rows.items() if each.weekday() == day.weekday()] or [middle])
    if max(usual, today[VOLUME]) < spec.min_rows:
        return
    kept = [n for n in rows.values() if not _beyond(n, middle, spec.volume)] or list(rows.values())
    logs = [math.log(n) for n in kept]
    mean = sum(logs) / len(logs)
    spread = math.sqrt(sum((each - mean) ** 2 for each in logs) / max(len(logs) - 1, 1))
    off = abs(math.log((today[VOLUME] + 1) / usual)) / math.sqrt(spread**2 * (1 + 1 / len(logs)) + BUNCH / usual)
    chance = _student_tail(off, max(len(logs) - 1, 1))
    broken = _beyond(today[VOLUME] + 1, usual, spec.volume) and chance < 1 - spec.confidence
    yield Measure(VOLUME, today[VOLUME], usual - 1, chance, broken)


def _beyond(rows: float, usual: float, factor: float) -> bool:
    return not usual / factor < rows < usual * factor


def _shares(spec: TrafficSpec, day: date, counts: Mapping[date, Counts]) -> Iterator[Measure]:
    """Every share: of the good rows or, where it is about bad ones, of all that came in (more is broken, less not)."""
    for name in sorted(set(counts[day]) - {VOLUME}):
        bad = name in {QUARANTINED, DUPLICATES}
        trials = {each: (n[name], n[VOLUME] + bad * n[QUARANTINED]) for each, n in counts.items()}
        today = trials.pop(day)
        past = {each: trial for each, trial in trials.items() if trial[1]}
        if past:
            yield _share(spec, name, day, today, past, only_more=bad)


def _share(
    spec: TrafficSpec, name: str, day: date, today: Trial, past: Mapping[date, Trial], *, only_more: bool
) -> Measure:
    kept = _like_their_median(spec, past)
    hits, rows = today
    share, usual = hits / rows, sum(x for x, _ in kept.values()) / sum(n for _, n in kept.values())
    same = [x / n for each, (x, n) in past.items() if each.weekday() == day.weekday()]
    moved = all(_moved(spec, share, other, rows) for other in (usual, median(same or [usual])))
    chance = _tail(today, list(kept.values()))
    expected = only_more and share < usual
    return Measure(name, share, usual, chance, moved and not expected and chance < 1 - spec.confidence)


def _like_their_median(spec: TrafficSpec, past: Mapping[date, Trial]) -> Mapping[date, Trial]:
    """Without the days that are themselves beyond the practical bar; all of them when that leaves too few."""
    middle = median(x / n for x, n in past.values())
    kept = {each: (x, n) for each, (x, n) in past.items() if not _moved(spec, x / n, middle, n)}
    return kept if len(kept) >= min(spec.min_history, len(past)) else past


def _moved(spec: TrafficSpec, share: float, usual: float, rows: int) -> bool:
    odds = _odds(share, rows) / _odds(usual, rows)
    return abs(share - usual) >= spec.shift and not 1 / spec.factor < odds < spec.factor


def _odds(share: float, rows: int) -> float:
    return (share * rows + 0.5) / ((1 - share) * rows + 0.5)


def _tail(today: Trial, past: Sequence[Trial]) -> float:
    """Chance of a share as far off, on its side: the beta-binomial's, in bunches."""
    from scipy.stats import betabinom

    (hits, rows), total, among = today, sum(x for x, _ in past), sum(n for _, n in past)
    share = (total + 0.5) / (among + 1)
    chi_square = sum((x - n * share) ** 2 / (n * share * (1 - share)) for x, n in past)
    bunch = max(BUNCH, chi_square / max(len(past) - 1, 1))
    predicted = betabinom(
        max(round(rows / bunch), 1), total / bunch + 0.5, (among - total) / bunch + 0.5
    )  # half a bunch of each before anything was seen: Jeffreys
    if hits / rows >= share:
        return float(predicted.sf(math.floor(hits / bunch) - 1))
    return float(predicted.cdf(math.ceil(hits / bunch)))


def _student_tail(off: float, freedom: int) -> float:
    from scipy.stats import t

    return float(t.sf(off, freedom))


def _count(settings: Settings, table: TableSpec, days: Sequence[date]) -> dict[date, dict[str, int]]:
    """Counts per day, from the published files and the quarantine."""
    wanted = dict(_conditions(table))
    counted = "".join(f", count(*) filter ({condition}) as {quote(name)}" for name, condition in wanted.items())
    good = _files(settings, table.name, days)
    bad = _files(settings, f"{table.name}_quarantine", days)
    sql = f"""
        with
        good as (select event_day, count(*) as {VOLUME}{counted} from {good} group by event_day),
        bad as (
            select event_day, count(*) as {QUARANTINED}, count(*) filter (reason = 'duplicate') as {DUPLICATES}
            from {bad} group by event_day
        )
        select * from good full join bad using (event_day)
    """
    with duckdb.connect(config={"threads": settings.threads, "memory_limit": settings.memory}) as connection:
        rows = connection.execute(sql).fetchall()
    names = [VOLUME, *wanted, QUARANTINED, DUPLICATES]
    found = {day: dict(zip(names, (int(value or 0) for value in values), strict=True)) for day, *values in rows}
    return {day: found.get(day) or dict.fromkeys(names, 0) for day in days}


def _conditions(table: TableSpec) -> Iterator[tuple[str, str]]:
    """Name and SQL condition of every judged share of good rows."""
    for name, column in table.columns.items():
        if column.nullable:
            yield f"{name} missing", f"{quote(name)} is null"
        for value in column.allowed or ():
            yield f"{name}={value}", f"{quote(name)} = {literal(value)}"


def _files(settings: Settings, table: str, days: Sequence[date]) -> str:
    paths = [part(settings.lake, table, day) for day in days]
    return parquet(*(path for path in paths if path.exists()), options=BY_DAY)
