"""What a run of ingestion found, and whether too much of it was bad."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from ml_assets.config.source_spec import TableSpec
from ml_assets.ingestion.days.refusals import Refusal


@dataclass(frozen=True)
class DayReport:
    """One day of one table; rows in = good + quarantined + removed, and the reasons sum to the quarantined.

    Attributes:
        day: the partition.
        rows_in: rows and unreadable lines found for that day (with `derive`: rows after it).
        rows_good: rows published.
        rows_quarantined: rows set aside.
        reasons: quarantined rows by first reason.
        rows_left_out: raw rows of which the table's `derive` made nothing; in none of the other counts.
        rows_removed: rows that were found and are in no file any more, by why: `erased`, `pruned`.
    """

    day: date
    rows_in: int
    rows_good: int
    rows_quarantined: int
    reasons: dict[str, int]
    rows_left_out: int = 0
    rows_removed: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = self.rows_good + self.rows_quarantined + sum(self.rows_removed.values())
        if self.rows_in != found or self.rows_quarantined != sum(self.reasons.values()):
            raise ValueError(f"counts of {self.day} do not add up: {self}")


@dataclass(frozen=True)
class IngestReport:
    """The published days of a range of one table, in order.

    Attributes:
        table: its name.
        days: what was found on each.
        notes: what was assumed of its rows.
        places: where the first quarantined row of each reason is.
        refused: the days of the range that could not be published.
    """

    table: str
    days: tuple[DayReport, ...]
    notes: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    refused: tuple[Refusal, ...] = ()

    @property
    def rows_in(self) -> int:
        """Rows found."""
        return sum(day.rows_in for day in self.days)

    @property
    def rows_good(self) -> int:
        """Rows published."""
        return sum(day.rows_good for day in self.days)

    @property
    def rows_left_out(self) -> int:
        """Raw rows of which `derive` made nothing."""
        return sum(day.rows_left_out for day in self.days)

    @property
    def rows_removed(self) -> dict[str, int]:
        """Rows that were found and are in no file any more, by why."""
        total: Counter[str] = Counter()
        for day in self.days:
            total.update(day.rows_removed)
        return dict(sorted(total.items()))

    @property
    def rows_quarantined(self) -> int:
        """Rows set aside."""
        return sum(day.rows_quarantined for day in self.days)

    @property
    def reasons(self) -> dict[str, int]:
        """Quarantined rows by first reason, most frequent first."""
        total: Counter[str] = Counter()
        for day in self.days:
            total.update(day.reasons)
        return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))

    @property
    def quarantine_share(self) -> float:
        """Share of rows set aside; 0 when there were none."""
        return self.rows_quarantined / self.rows_in if self.rows_in else 0.0


@dataclass(frozen=True)
class QuarantineDecision:
    """Whether the check passes, and why.

    Attributes:
        ok: the share is within the limit, in the sum and on every day large enough to judge by itself.
        share: of the whole run.
        limit: `max_quarantine_share` of the table.
        failed_days: days above the limit, with their share.
        text: one line for people.
    """

    ok: bool
    share: float
    limit: float
    failed_days: dict[date, float]
    text: str


def decide_quarantine(report: IngestReport, table: TableSpec) -> QuarantineDecision:
    """Decide whether the share of quarantined rows fails the blocking check.

    Days are judged one by one too, so that a bad day cannot hide in a long backfill; days with fewer than
    `quarantine_min_rows` rows only count in the sum.
    """
    limit = table.max_quarantine_share
    shares = {d.day: d.rows_quarantined / d.rows_in for d in report.days if d.rows_in >= table.quarantine_min_rows}
    failed = {day: share for day, share in shares.items() if share > limit}
    ok = not failed and report.quarantine_share <= limit
    common = ", ".join(f"{name} {count:,}" for name, count in list(report.reasons.items())[:5])
    text = f"{report.table}: {report.quarantine_share:.2%} of {report.rows_in:,} rows quarantined"
    text += f", limit {limit:.2%}"
    if common:
        text += f" ({common})"
    if failed:
        text += f"; above it on {len(failed)} days, first {min(failed)} with {failed[min(failed)]:.2%}"
    return QuarantineDecision(ok, report.quarantine_share, limit, failed, text)
