"""Bookkeeping: every complete line of the service's segments against the rows that became of it.

Lines are counted in the bytes themselves and their day is found by a pattern, so that a fault in how the
collector reads cannot hide itself. Segments that were removed from the service's folder are not counted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import pyarrow.parquet as pq

from ml_assets.config.settings import Settings
from ml_assets.prediction_log.collect import collected_until
from ml_assets.prediction_log.daily_tables import day_folder, predictions_home
from ml_assets.prediction_log.merge import inputs_of, late_parts
from ml_assets.prediction_log.partitions import (
    Kind,
    PartFile,
    parts_home,
    pruned_inputs,
    ranges,
    rows_in,
    select,
    unread,
    walk_parts,
)
from ml_assets.prediction_log.reading import connect, scan
from ml_assets.prediction_log.segments import ERASED, Segment, list_segments, read_lines
from ml_assets.prediction_log.set_aside import noted
from ml_assets.prediction_log.tables import PREDICTIONS
from ml_assets.storage.log_layout import log_folder

TICK = 1.0
"""Seconds that the clock of a file system may be behind."""

_TIME = re.compile(rb'"time"\s*:\s*"([^"\\]*)"')


@dataclass(frozen=True)
class Account:
    """The books of a day: all counts are lines or rows.

    Attributes:
        day: the day.
        lines: complete lines of the day in the segments, as far as they were collected.
        rows: what became of them: answers, outcomes, refusals and bad lines.
        segment_lines: complete lines of the segments that may have lines of the day, whatever day they are of.
        segment_rows: what became of these.
        overlooked: complete lines of the day that the newest collection should have seen, but no part has.
        answers: different answers of the day in the parts that the daily table was made from.
        table: rows of the daily table of answers.
        repeated: rows of that table whose answer is there already.
        pruned: files that the table was made from and that are gone on purpose: its answers are not counted again.
        late: files of the day's answers that the table was not made from; the next publication takes them in.
        published: whether there is a daily table.
        bad: complete lines that made no sense: of the day, or in a segment that began on it if they say no time.
        set_aside: such lines that somebody has decided to go on without; they are not among the bad ones.
    """

    day: date
    lines: int
    rows: int
    segment_lines: int
    segment_rows: int
    overlooked: int
    answers: int
    table: int
    repeated: int
    late: int
    published: bool
    bad: int = 0
    set_aside: int = 0
    pruned: int = 0

    @property
    def ok(self) -> bool:
        """Nothing was lost, nothing is there twice."""
        pairs = ((self.lines, self.rows), (self.segment_lines, self.segment_rows), (self.answers, self.table))
        return all(one == other for one, other in pairs) and not self.overlooked and not self.repeated

    @property
    def text(self) -> str:
        """One sentence: the counts, and what is wrong."""
        said = f"{self.day}: {self.lines:,} lines logged, {self.rows:,} in the parts; "
        said += (
            f"{self.answers:,} answers, {self.table:,} in the day's table" if self.published else "not published yet"
        )
        if self.segment_lines != self.segment_rows:
            said += f"; the day's segments have {self.segment_lines:,} lines, their parts {self.segment_rows:,} rows"
        if self.overlooked:
            said += f"; {self.overlooked:,} lines were not collected"
        if self.repeated:
            said += f"; {self.repeated:,} rows of the table repeat an answer"
        if self.pruned:
            said += f"; {self.pruned:,} parts were pruned since: the table is taken as it is"
        if self.late and self.published:
            said += f"; {self.late:,} parts came after the table was published: publish the day again"
        if self.bad:
            said += (
                f"; {self.bad:,} bad lines: put right what their `reason` says, then `python -m ml_assets reread-log`; "
                "`reread-log --set-aside` goes on without them"
            )
        if self.set_aside:
            said += f"; {self.set_aside:,} bad lines were set aside by hand"
        return said


def account(settings: Settings, model: str, day: date) -> Account:
    """Compare what the service logged for a day with the parts and the daily table."""
    home = parts_home(settings, model)
    files = walk_parts(home)
    of_segment = defaultdict(list)
    for each in files:
        of_segment[each.segment].append(each)
    until = collected_until(home) - TICK
    totals, bad, aside, known = [0] * 5, 0, 0, noted(settings, model)
    for segment in list_segments(log_folder(settings, model)):
        collected, overlook = ranges(home / segment.name), segment.changed < until
        found = _of_segment(segment, of_segment[segment.name], collected, day, overlook=overlook)
        totals = [total + count for total, count in zip(totals, found, strict=True)]
        lines_of_day = _bad(segment.name, of_segment[segment.name], day)
        aside += len(lines_of_day & known)
        bad += len(lines_of_day - known)
    lines, rows, segment_lines, segment_rows, overlooked = totals
    answers, table, repeated, late, pruned = _of_table(settings, model, day, files)
    return Account(
        day=day,
        lines=lines,
        rows=rows,
        segment_lines=segment_lines,
        segment_rows=segment_rows,
        overlooked=overlooked,
        answers=answers,
        table=table,
        repeated=repeated,
        late=late,
        published=day_folder(settings, model, day).exists(),
        bad=bad,
        set_aside=aside,
        pruned=pruned,
    )


def _bad(segment: str, files: list[PartFile], day: date) -> set[tuple[str, int]]:
    """Bad lines that count for the day, by where they are; the torn end that a killed writer left is none."""
    whole = [(at, raw) for at, raw in _raw(files) if raw.endswith(b"\n")]
    began = segment.startswith(f"{day:%Y%m%d}")
    return {(segment, at) for at, raw in whole if _of_day(raw, day) or (began and _TIME.search(raw) is None)}


def _raw(files: list[PartFile]) -> list[tuple[int, bytes]]:
    bad = [pq.read_table(each.path, columns=["line", "raw"]) for each in files if each.kind is Kind.BAD]
    return [(row["line"], row["raw"]) for rows in bad for row in rows.to_pylist()]


def _of_segment(
    segment: Segment, files: list[PartFile], collected: list[tuple[int, int]], day: date, *, overlook: bool
) -> tuple[int, int, int, int, int]:
    """Lines and rows of the day, lines and rows of the segment when it has any of the day, lines overlooked."""
    overlooked = 0
    if overlook:
        missing = (line for start, stop in unread(collected, segment.size) for line in _complete(segment, start, stop))
        overlooked = sum(_of_day(line, day) for line in missing)
    bad = _raw(files)
    bad_of_day = sum(_of_day(raw, day) for _, raw in bad)
    logged = [each for each in files if each.kind in {Kind.PREDICTIONS, Kind.OUTCOMES, Kind.REFUSALS}]
    of_day = [each for each in logged if each.hour.startswith(day.isoformat())]
    if not (_covers(segment, logged, day) or bad_of_day):
        return 0, 0, 0, 0, overlooked
    every = of_the_day = 0
    for start, stop in collected:
        for _, line in read_lines(segment.path, start, stop):
            if line.startswith(ERASED):
                continue
            every += 1
            of_the_day += _of_day(line, day)
    rows = _rows(of_day) + bad_of_day
    return of_the_day, rows, every, _rows(logged) + len(bad), overlooked


def _covers(segment: Segment, files: list[PartFile], day: date) -> bool:
    """Whether the segment may have lines of the day: by when it was written, or by the hours of its rows."""
    began, ended = segment.name[:8], datetime.fromtimestamp(segment.changed, UTC).date()
    written = began.isdigit() and began <= f"{day:%Y%m%d}" and day <= ended
    days = [each.hour[:10] for each in files]
    return written or (bool(days) and min(days) <= day.isoformat() <= max(days))


def _complete(segment: Segment, start: int, stop: int) -> Iterable[bytes]:
    whole = (line for _, line in read_lines(segment.path, start, stop) if line.endswith(b"\n"))
    return (line for line in whole if not line.startswith(ERASED))


def _of_day(line: bytes, day: date) -> bool:
    """Whether the first time a line says is of this day (UTC)."""
    match = _TIME.search(line)
    try:
        said = datetime.fromisoformat(match[1].decode()) if match else None
        return said is not None and (said.astimezone(UTC) if said.tzinfo else said).date() == day
    except (ValueError, OverflowError):
        return False


def _rows(files: Iterable[PartFile]) -> int:
    return sum(rows_in(each.path) for each in files)


def _of_table(settings: Settings, model: str, day: date, files: list[PartFile]) -> tuple[int, int, int, int, int]:
    """Different answers in the table's parts, rows of the table, rows too many, parts that came later or were pruned.

    Where parts were pruned, the table itself is all that is left to count.
    """
    home, folder = parts_home(settings, model), day_folder(settings, model, day)
    start = datetime.combine(day, time())
    today = select(files, Kind.PREDICTIONS, start, start + timedelta(days=1))
    if not folder.exists():
        return 0, 0, 0, len(today), 0
    version = folder.resolve()
    inputs = inputs_of(version)
    pruned = len(pruned_inputs(home, inputs))
    there = [home / name for name in inputs if (home / name).exists()]
    with connect(settings, predictions_home(settings, model)) as connection:
        count = "select count(distinct prediction_id), count(*) from {}"
        (answers, _), (different, rows) = (
            connection.sql(count.format(scan(connection, paths, PREDICTIONS))).fetchall()[0]
            for paths in (there, [version / f"{Kind.PREDICTIONS}.parquet"])
        )
    known = rows if pruned and pruned == len(inputs) - len(there) else answers
    return known, rows, rows - different, len(late_parts(home, folder, today)), pruned
