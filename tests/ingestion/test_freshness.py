"""How old the data is, whatever was run a minute ago."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from ml_assets.config.settings import PROJECT, Settings
from ml_assets.config.source_spec import CalendarSpec, SourceSpec, load_source
from ml_assets.ingestion.days import freshness as judged
from ml_assets.ingestion.days.freshness import due_day, freshness

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def source(end: date | None = None, simulation: dict[str, Any] | None = None) -> SourceSpec:
    shop = load_source(PROJECT / "shops" / "simulated.yaml")
    calendar = CalendarSpec(start=date(2026, 1, 1), end=end)
    return shop.model_copy(update={"calendar": calendar, "simulation": simulation})


@pytest.fixture
def newest(monkeypatch: pytest.MonkeyPatch) -> Any:
    def said(day: date | None) -> None:
        monkeypatch.setattr(judged, "newest_day", lambda source, settings: day)

    return said


@pytest.mark.parametrize(
    ("day", "end", "ok", "said"),
    [
        (None, None, False, "has no data yet: its first day is 2026-01-01"),
        (date(2026, 10, 26), None, False, "32 days older than promised: 2026-11-27 should be there"),
        (date(2026, 11, 27), None, True, "the newest data is of 2026-11-27, as new as promised"),
        (date(2026, 10, 26), date(2026, 10, 26), True, "where its calendar ended (2026-10-26)"),
        (date(2026, 10, 26), date(2026, 10, 28), False, "2 days older than promised: 2026-10-28 should be there"),
        (date(2026, 11, 26), date(2027, 1, 31), False, "1 days older than promised"),
    ],
)
def test_data_is_as_old_as_its_newest_day(newest: Any, day: date | None, end: date | None, ok: bool, said: str) -> None:
    newest(day)
    found = freshness(source(end), Settings(home="/nowhere", shop="simulated"), NOW)
    assert (found.ok, said in found.text) == (ok, True), found.text


def test_a_day_is_due_a_night_and_half_a_day_after_its_end() -> None:
    assert due_day(source(), datetime(2026, 11, 29, 11, 59, tzinfo=UTC)) == date(2026, 11, 26)
    assert due_day(source(), NOW) == date(2026, 11, 27)
    assert due_day(source(), datetime(2025, 12, 1, tzinfo=UTC)) is None  # it has not begun


def test_a_simulated_world_that_ends_has_a_clock_of_its_own() -> None:
    assert due_day(source(end=date(2026, 7, 1), simulation={}), NOW) is None
    assert due_day(source(simulation={}), NOW) == date(2026, 11, 27)  # it goes on trading
