"""The check `up_to_date`: a corrected day makes every later one stale, and it says which and what to do."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.components.stale_checks import up_to_date
from ml_assets.config.settings import Settings, load_settings
from ml_assets.config.sources import source_of
from ml_assets.ingestion.days.ledger import LedgerEntry, ledger_path
from ml_assets.ingestion.days.made import made_of, note
from ml_assets.ingestion.days.report import DayReport

DAYS = [dt.date(2013, 1, number) for number in (1, 2, 3)]


@dg.asset
def stg_trips() -> None:
    """One of the dbt models of the taxis."""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    settings = load_settings()
    settings.warehouse.parent.mkdir(parents=True)
    settings.warehouse.touch()
    for day in DAYS:
        publish(settings, day, "first")
    source = source_of("chicago_taxi", settings)
    note(source, settings, ["stg_trips"], DAYS, made_of(source, settings))
    return settings


def publish(settings: Settings, day: dt.date, version: str) -> None:
    path = ledger_path(settings.lake, "trips")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as ledger:
        ledger.write(LedgerEntry(day, {}, "", version, DayReport(day, 0, 0, 0, {})).to_json() + "\n")


def judged() -> dg.AssetCheckEvaluation:
    check = up_to_date("chicago_taxi", "chicago_taxi", stg_trips)
    [found] = dg.materialize([stg_trips, check]).get_asset_check_evaluations()
    return found


def test_what_was_made_of_the_raw_days_as_they_are_passes(settings: Settings) -> None:
    assert judged().passed


def test_days_after_a_corrected_one_are_named_with_the_command(settings: Settings) -> None:
    publish(settings, DAYS[1], "corrected")
    source = source_of("chicago_taxi", settings)
    note(source, settings, ["stg_trips"], [DAYS[1]], made_of(source, settings))  # that day alone was made again
    found = judged()
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (found.description or "").startswith("not made of the raw days as they are now: 2013-01-03 of stg_trips; ")
    assert "dg launch --job chicago_taxi_ingest --partition-range 2013-01-03...2013-01-03" in (found.description or "")
    note(source, settings, ["stg_trips"], DAYS[2:], made_of(source, settings))
    assert judged().passed
