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

import orjson
import pyarrow.parquet as pq

from ml_assets.predictions.collect import collected_until
from ml_assets.predictions.daily import day_folder, predictions_home
from ml_assets.predictions.merge import INPUTS
from ml_assets.predictions.parts import Kind, PartFile, parts_home, ranges, rows_in, select, unread, walk_parts
from ml_assets.predictions.reading import connect, scan
from ml_assets.predictions.segments import Segment, list_segments, read_lines
from ml_assets.predictions.tables import PREDICTIONS
from ml_assets.settings import Settings
from serving.prediction_log import log_folder

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
        late: files of the day's answers that the table was not made from; the next publication takes them in.
        published: whether there is a daily table.
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
        if self.late and self.published:
            said += f"; {self.late:,} parts came after the table was published: publish the day again"
        return said


def account(settings: Settings, model: str, day: date) -> Account:
    """Compare what the service logged for a day with the parts and the daily table."""
    home = parts_home(settings, model)
    files = walk_parts(home)
    of_segment = defaultdict(list)
    for each in files:
        of_segment[each.segment].append(each)
    until = collected_until(home) - TICK
    totals = [0] * 5
    for segment in list_segments(log_folder(settings, model)):
        collected, overlook = ranges(home / segment.name), segment.changed < until
        found = _of_segment(segment, of_segment[segment.name], collected, day, overlook=overlook)
        totals = [total + count for total, count in zip(totals, found, strict=True)]
    lines, rows, segment_lines, segment_rows, overlooked = totals
    answers, table, repeated, late = _of_table(settings, model, day, files)
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
    )


def _of_segment(
    segment: Segment, files: list[PartFile], collected: list[tuple[int, int]], day: date, *, overlook: bool
) -> tuple[int, int, int, int, int]:
    """Lines and rows of the day, lines and rows of the segment when it has any of the day, lines overlooked."""
    overlooked = 0
    if overlook:
        missing = (line for start, stop in unread(collected, segment.size) for line in _complete(segment, start, stop))
        overlooked = sum(_of_day(line, day) for line in missing)
    bad = [raw for each in files if each.kind is Kind.BAD for raw in pq.read_table(each.path, columns=["raw"])["raw"]]
    bad_of_day = sum(_of_day(raw.as_py(), day) for raw in bad)
    logged = [each for each in files if each.kind in {Kind.PREDICTIONS, Kind.OUTCOMES, Kind.REFUSALS}]
    of_day = [each for each in logged if each.hour.startswith(day.isoformat())]
    if not (_covers(segment, logged, day) or bad_of_day):
        return 0, 0, 0, 0, overlooked
    every = of_the_day = 0
    for start, stop in collected:
        for _, line in read_lines(segment.path, start, stop):
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
    return (line for _, line in read_lines(segment.path, start, stop) if line.endswith(b"\n"))


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


def _of_table(settings: Settings, model: str, day: date, files: list[PartFile]) -> tuple[int, int, int, int]:
    """Different answers in the table's parts, rows of the table, rows too many, parts that came later."""
    home, folder = parts_home(settings, model), day_folder(settings, model, day)
    start = datetime.combine(day, time())
    today = select(files, Kind.PREDICTIONS, start, start + timedelta(days=1))
    if not folder.exists():
        return 0, 0, 0, len(today)
    version = folder.resolve()
    taken = [home / name for name in orjson.loads((version / INPUTS).read_bytes())]
    there = [path for path in taken if path.exists()]
    with connect(settings, predictions_home(settings, model)) as connection:
        count = "select count(distinct prediction_id), count(*) from {}"
        (answers, _), (different, rows) = (
            connection.sql(count.format(scan(connection, paths, PREDICTIONS))).fetchall()[0]
            for paths in (there, [version / f"{Kind.PREDICTIONS}.parquet"])
        )
    return answers, rows, rows - different, len(set(today) - set(taken))
