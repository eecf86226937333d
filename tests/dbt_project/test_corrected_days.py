"""A missing, broken or corrected day: the others go on, features that saw the old one are known and made again."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pytest
from dbt_warehouse import PROJECT, Warehouse
from shipped import TAXI

from ml_assets.config.settings import Settings
from ml_assets.config.source_spec import SourceSpec
from ml_assets.config.sources import source_of
from ml_assets.ingestion.days.arrivals import arrivals
from ml_assets.ingestion.days.made import buildable, made_of, note, stale_days
from ml_assets.ingestion.ingest import ingest
from ml_assets.ingestion.publish import part

DAYS = 20
pytestmark = TAXI
MODELS = sorted(path.stem for path in PROJECT.glob("models/chicago_taxi/*.sql"))
HEADER = (
    "trip_start_timestamp,company,trip_seconds,trip_miles,fare,tips,payment_type,pickup_community_area,"
    "dropoff_community_area,pickup_census_tract,dropoff_census_tract\n"
)


def day(number: int) -> dt.date:
    return dt.date(2014, 3, 1) + dt.timedelta(days=number)


@dataclass
class Taxis:
    """The shipped taxi source, its trips in a file a day, and what its sensor and its job do."""

    source: SourceSpec
    settings: Settings
    warehouse: Warehouse
    files: Path

    def deliver(self, number: int, fare: float | None = 10.0) -> None:
        """The file of the n-th day, of trips at this fare; None: nothing in it, not even the header."""
        at = dt.datetime.combine(day(number), dt.time(9), dt.UTC).timestamp()
        rows = [f"{at:.0f},c{taxi},600,{taxi + 1}.5,{fare},{taxi},Cash,8,{number % 3},,\n" for taxi in range(3)]
        self.files.mkdir(parents=True, exist_ok=True)
        (self.files / f"{day(number)}.csv").write_text("" if fare is None else HEADER + "".join(rows))

    def run(self, first: dt.date, last: dt.date) -> list[dt.date]:
        """Ingest days and build the models on them; the days that could not be published."""
        report = ingest(self.source, "trips", self.settings, first, last)
        of, days = made_of(self.source, self.settings), buildable(self.source, self.settings, first, last)
        note(self.source, self.settings, MODELS, days.all, {})
        done = self.warehouse.dbt("run", "--select", "ml_assets.chicago_taxi", start=days.all[0], end=days.all[-1])
        assert set(done.values()) == {"success"}
        note(self.source, self.settings, MODELS, days.all, of)
        return [refusal.day for refusal in report.refused]

    def look(self) -> tuple[dt.date, dt.date] | None:
        return arrivals(self.source, self.settings, day(DAYS)).days

    def live(self) -> None:
        while (found := self.look()) is not None:
            self.run(*found)

    def made(self) -> dict[str, object]:
        """The bytes of every part, and the rows of every model."""
        names = [(name, number) for name in ("trips", "trips_quarantine") for number in range(DAYS)]
        parts = {f"{name} {number}": part(self.settings.lake, name, day(number)) for name, number in names}
        tables = {model: self.warehouse.table(model) for model in MODELS}
        return {**{name: path.read_bytes() for name, path in parts.items()}, **tables}


def taxis(home: Path) -> Taxis:
    settings = Settings(home=home / "home", shop="simulated", threads=1, memory="512MB")
    known = source_of("chicago_taxi", settings)
    trips = known.tables["trips"].model_copy(update={"address": f"{home}/files/{{day}}.csv", "day": None})
    calendar = known.calendar.model_copy(update={"start": day(0), "end": None})
    source = known.model_copy(update={"tables": {"trips": trips}, "calendar": calendar})
    return Taxis(source, settings, Warehouse(settings.lake, settings.shop_home), home / "files")


@pytest.fixture(scope="module")
def orderly(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    made = taxis(tmp_path_factory.mktemp("orderly"))
    for number in range(DAYS):
        made.deliver(number, fare=10.0 + number)
    made.live()
    return made.made()


def test_late_broken_and_corrected_days_end_as_the_orderly_ones(tmp_path: Path, orderly: dict[str, object]) -> None:
    found = taxis(tmp_path)
    for number in [number for number in range(DAYS) if number != 9]:
        found.deliver(number, fare={4: None, 3: 99.0}.get(number, 10.0 + number))
    assert found.run(*found.look() or ()) == [day(4), day(9)]
    assert found.look() is None, "what is missing or broken is not tried again, and nothing waits for it"
    said = arrivals(found.source, found.settings, day(DAYS)).why
    assert said.startswith(f"everything up to {day(19)} is in the lake; waiting for {day(9)}; failed: {day(4)}: ")
    assert "the file is empty (0 bytes)" in said
    for number in (9, 4):
        found.deliver(number, fare=10.0 + number)
    assert found.look() == (day(4), day(19))
    found.live()
    found.deliver(3, fare=13.0)  # 16 days back
    assert found.look() == (day(3), day(19))
    found.run(day(3), day(3))  # by hand, that day alone
    stale = stale_days(found.source, found.settings)
    assert set(stale) == set(MODELS)
    assert stale["feat_taxi_company"] == [day(number) for number in range(4, 20)]
    assert found.made()["feat_taxi_company"] != orderly["feat_taxi_company"]
    assert found.look() == (day(4), day(19))
    found.live()
    assert found.made() == orderly
    assert not any(stale_days(found.source, found.settings).values())


def test_a_build_that_did_not_end_is_made_again(tmp_path: Path) -> None:
    found = taxis(tmp_path)
    for number in range(3):
        found.deliver(number)
    found.live()
    note(found.source, found.settings, MODELS[:1], [day(1)], {})
    assert stale_days(found.source, found.settings)[MODELS[0]] == [day(1)]
    assert found.look() == (day(1), day(2))
    found.warehouse.path.unlink()
    assert stale_days(found.source, found.settings) == {}, "nothing is known of a warehouse that is gone"
