"""The days a file is about: its times that hang together, without a system's words for never."""

from __future__ import annotations

from datetime import date, timedelta

import duckdb

from ml_assets.config.limits import FIRST_YEAR, LAST_YEAR

SHORTEST_GAP = timedelta(days=30)


def bounds_of(connection: duckdb.DuckDBPyConnection) -> tuple[date, date] | None:
    """First and last day of the times `_said` of the view `timed`, without those that lie far from all others.

    Far is what no chain of days joins to the middle half: a gap without any row that is longer than twice that half.

    Returns:
        None: there is no time.
    """
    found = connection.execute(
        "select distinct _said::date as day from timed where _said is not null order by day"
    ).fetchall()
    quarters = connection.execute(
        "select quantile_disc(_said::date, [0.25, 0.5, 0.75]) from timed "
        f"where year(_said) between {FIRST_YEAR} and {LAST_YEAR - 1}"
    ).fetchone()
    if not found or quarters is None or not quarters[0]:
        return None
    low, middle, high = quarters[0]
    days = [day for (day,) in found if FIRST_YEAR <= day.year < LAST_YEAR]
    longest = max(2 * (high - low), SHORTEST_GAP)
    at = days.index(middle)
    begin, end = at, at
    while begin > 0 and days[begin] - days[begin - 1] <= longest:
        begin -= 1
    while end + 1 < len(days) and days[end + 1] - days[end] <= longest:
        end += 1
    return days[begin], days[end]
