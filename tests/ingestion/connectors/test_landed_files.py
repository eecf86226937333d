"""A day whose landed files are gone or others is refused: it is no day on which nothing happened."""

import shutil
from datetime import date

import pytest
from sourced_shop import landed_shop
from tiny_shop import day

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.connectors.journal import Journal
from ml_assets.ingestion.days.arrivals import arrivals
from ml_assets.ingestion.days.ledger import changed_days


@pytest.fixture
def shop(tmp_path):
    made = landed_shop(tmp_path)
    made.ingest(0, 2)
    return made


def remove(shop):
    shutil.rmtree(shop.journal.folder / str(day(1)))


def change(shop):
    (path,) = (shop.journal.folder / str(day(1))).iterdir()
    (other,) = (shop.journal.folder / str(day(0))).iterdir()
    path.write_bytes(other.read_bytes())


def add(shop):
    (path,) = (shop.journal.folder / str(day(1))).iterdir()
    shutil.copy(path, path.with_name("0-more.parquet"))


@pytest.mark.parametrize(
    ("happens", "said"),
    [(remove, "2026-01-02 is gone"), (change, "2026-01-02 is changed"), (add, "2026-01-02 is there, but no landing")],
)
def test_a_good_day_stays_as_it_was(shop, happens, said):
    before = shop.good(1)
    happens(shop)
    with pytest.raises(IngestionError, match=said):
        shop.ingest(1)
    assert [refusal.day for refusal in shop.ingest(0, 2).refused] == [day(1)]
    with pytest.raises(IngestionError, match=said):
        changed_days(shop.source, "events", shop.settings, day(0), day(2))
    found = arrivals(shop.source, shop.settings, date(2026, 1, 4))
    assert found.days is None
    assert said in found.why
    assert shop.good(1) == before


def test_what_was_put_back_is_taken(shop, tmp_path):
    shutil.move(shop.journal.folder / str(day(1)), tmp_path / "kept")
    with pytest.raises(IngestionError, match="put back what the journal names"):
        shop.ingest(1)
    shutil.move(tmp_path / "kept", shop.journal.folder / str(day(1)))
    shop.ingest(0, 2)
    assert changed_days(shop.source, "events", shop.settings, day(0), day(2)) == []


def test_a_file_that_is_being_put_in_its_place_is_not_missed(shop, monkeypatch):
    (old,) = shop.journal.landed([day(1)])
    with shop.journal._open() as database:
        database.execute("insert into pieces values (9, 'n', 1)")
        for name, sha256 in ((old[1], "newer"), ("new.parquet", "new")):
            database.execute(
                "insert into files (seq, day, name, rows, sha256, span, staged) values (9, ?, ?, 1, ?, '{}', 's')",
                (str(day(1)), name, sha256),
            )
    assert len(Journal(shop.journal.folder).landed([day(1)])[old]) == 2
    assert changed_days(shop.source, "events", shop.settings, day(0), day(2)) == []
