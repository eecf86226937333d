"""To which day an arrival belongs: exactly one, of the shop's calendar, and never one that has not come yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

MILLISECONDS = 100_000_000_000
"""A number of seconds this large lies beyond the year 5000: it counts milliseconds."""


@dataclass(frozen=True)
class Days:
    """The rule of one landing.

    Attributes:
        start: first day of the calendar.
        end: its last day, where it has one.
        landed_on: the day of the landing (UTC): a row cannot belong to a later one.
    """

    start: date
    end: date | None
    landed_on: date

    def of(self, *claims: Any) -> date:
        """The day of the first claim (a time or day in any form) that can be one, else the day of the landing.

        A day outside the calendar becomes its first or last day, so that every row is in exactly one and the
        contract can set it aside there.
        """
        found = (day_of(claim) for claim in claims)
        day = next((each for each in found if each is not None and each <= self.landed_on), self.landed_on)
        return max(self.start, day if self.end is None else min(self.end, day))


def day_of(value: Any) -> date | None:
    """The day (UTC) of a time, day, ISO text or number of (milli)seconds since 1970; none when it is no such thing."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            value = datetime.fromtimestamp(value / 1000 if abs(value) >= MILLISECONDS else value, UTC)
        if isinstance(value, datetime):
            return (value if value.tzinfo is None else value.astimezone(UTC)).date()
    except (ValueError, OverflowError, OSError):
        return None
    return value if isinstance(value, date) else None
