"""The check `up_to_date`: a corrected day makes every later one stale, and it says which and what to do."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.components.stale_checks import up_to_date
from ml_assets.config.settings import Settings, load_settings
from ml_assets.config.source_spec import parse_source
from ml_assets.config.sources import source_of
from ml_assets.ingestion.days.ledger import LedgerEntry, ledger_path
from ml_assets.ingestion.days.made import made_of, note
from ml_assets.ingestion.days.report import DayReport

DAYS = [dt.date(2013, 1, number) for number in (1, 2, 3)]


COLUMNS = {
    "ride_id": {"from": "id", "type": "VARCHAR", "description": "d"},
    "at": {"from": "at", "type": "TIMESTAMP", "description": "d", "unit": "local time"},
}
RIDES = parse_source(
    {
        "name": "yard", "description": "d", "calendar": {"start": "2013-01-01", "end": "2013-12-31"},
        "tables": {
            "rides": {
                "description": "d", "address": "{project}/rides.csv", "day": "at::date", "key": ["ride_id"],
                "time": {"column": "at"}, "columns": COLUMNS, "max_quarantine_share": 0.01,
            }
        },
    }
)  # fmt: skip


@dg.asset
def stg_events() -> None:
    """A dbt model that there is."""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    monkeypatch.setattr("ml_assets.config.sources.sources_beside", lambda: {"yard": RIDES})
    settings = load_settings()
    settings.warehouse.parent.mkdir(parents=True)
    settings.warehouse.touch()
    for day in DAYS:
        publish(settings, day, "first")
    source = source_of("yard", settings)
    note(source, settings, ["stg_events"], DAYS, made_of(source, settings))
    return settings


def publish(settings: Settings, day: dt.date, version: str) -> None:
    path = ledger_path(settings.lake, "rides")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as ledger:
        ledger.write(LedgerEntry(day, {}, "", version, DayReport(day, 0, 0, 0, {})).to_json() + "\n")


def judged() -> dg.AssetCheckEvaluation:
    check = up_to_date("yard", "yard", stg_events)
    [found] = dg.materialize([stg_events, check]).get_asset_check_evaluations()
    return found


def test_what_was_made_of_the_raw_days_as_they_are_passes(settings: Settings) -> None:
    assert judged().passed


def test_days_after_a_corrected_one_are_named_with_the_command(settings: Settings) -> None:
    publish(settings, DAYS[1], "corrected")
    source = source_of("yard", settings)
    note(source, settings, ["stg_events"], [DAYS[1]], made_of(source, settings))  # that day alone was made again
    found = judged()
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (found.description or "").startswith("not made of the raw days as they are now: 2013-01-03 of stg_events; ")
    assert "dg launch --job yard_ingest --partition-range 2013-01-03...2013-01-03" in (found.description or "")
    note(source, settings, ["stg_events"], DAYS[2:], made_of(source, settings))
    assert judged().passed
