"""Rows of a database: landed once each, late commits included, in the day they say."""

from datetime import timedelta

import pyarrow.parquet as pq
import pytest
from databases import EventTable
from sourced_shop import sourced_shop
from tiny_shop import at, day

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.connectors import sql

SOURCE = {
    "kind": "sql", "address": "${SHOP_DB}", "table": "events", "cursor": "id", "overlap": 5, "day": "written",
    "piece_rows": 4,
}  # fmt: skip


@pytest.fixture
def database(tmp_path):
    return EventTable(f"sqlite:///{tmp_path / 'shop.db'}")


@pytest.fixture
def shop(tmp_path, database):
    return with_source(tmp_path)


def with_source(tmp_path, **changes):
    address = f"sqlite:///{tmp_path / 'shop.db'}"
    return sourced_shop(tmp_path / "home", {**SOURCE, **changes}, {"SHOP_DB": address})


def ids(shop):
    return [int(value) for value in shop.landed_values("id")]


def test_rows_land_in_pieces_by_their_day(shop, database):
    database.write(range(1, 8), at(0))
    database.write(range(8, 11), at(1))
    landed = shop.land(1)
    assert (landed.pieces, landed.rows, landed.days) == (3, 10, (day(0), day(1)))
    assert ids(shop) == list(range(1, 11))
    assert [each for each, _ in shop.landed()] == ["2026-01-01"] * 7 + ["2026-01-02"] * 3


def test_a_second_landing_brings_only_what_is_new(shop, database):
    database.write(range(1, 8))
    shop.land()
    before = {path: path.stat().st_mtime_ns for path in shop.landed_files()}
    assert shop.land().pieces == 0
    database.write([8, 9])
    assert shop.land().rows == 2
    assert ids(shop) == list(range(1, 10))
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_row_that_was_committed_late_lands_once_even_for_an_old_day(shop, database):
    database.write([1, 2, 5, 7], at(1))
    shop.land(1)
    database.write([3], at(0))
    late = shop.land(1)
    assert (late.rows, late.days) == (1, (day(0),))
    assert "late" in late.notes[0]
    shop.land(1)
    assert sorted(ids(shop)) == [1, 2, 3, 5, 7]


def test_the_overlap_is_what_late_rows_are_found_by(tmp_path, database):
    shop = with_source(tmp_path, overlap=0)
    database.write([1, 2, 5])
    shop.land()
    database.write([3])
    assert shop.land().rows == 0


def test_equal_times_are_told_apart_by_the_key(tmp_path, database):
    shop = with_source(tmp_path, cursor="written", key=["id"], overlap=0)
    database.write(range(1, 7), at(0))
    shop.land()
    database.write([7, 3000], at(0))
    database.write([8], at(1))
    shop.land(1)
    assert sorted(ids(shop)) == [*range(1, 9), 3000]


def test_a_changed_row_with_a_new_time_of_change_is_a_new_arrival(tmp_path, database):
    shop = with_source(tmp_path, cursor="written", key=["id"], overlap=0)
    database.write([1], at(0))
    shop.land()
    with database.engine.begin() as connection:
        connection.execute(database.table.update().values(written=at(1), country="FR"))
    shop.land(1)
    assert [(each, row["id"], row["country"]) for each, row in shop.landed()] == [
        ("2026-01-01", "1", "GB"), ("2026-01-02", "1", "FR"),
    ]  # fmt: skip


def test_rows_with_the_same_cursor_and_no_key_are_refused_rather_than_lost(tmp_path, database):
    shop = with_source(tmp_path, cursor="written")
    database.write([1, 2], at(0))
    with pytest.raises(IngestionError, match=r"two rows have the same written .*name under `key`"):
        shop.land()


@pytest.mark.parametrize(("cursor", "key"), [("id", []), ("written", ["id"])])
def test_a_row_without_cursor_or_key_is_refused_rather_than_lost(tmp_path, database, cursor, key):
    shop = with_source(tmp_path, cursor=cursor, key=key, overlap=0)
    database.write([1])
    database.write([None], at(0))
    with pytest.raises(IngestionError, match="id is null in a row"):
        shop.land()


def test_a_query_is_a_source_as_well(tmp_path, database):
    query = "select *, 'a:b' as note from events where customer_id like 'C%' and ts > '2025-01-01 00:00:00';"
    shop = with_source(tmp_path, table=None, query=query)
    database.write([1, 2])
    database.write([3], customer_id="X")
    shop.land()
    assert ids(shop) == [1, 2]
    assert shop.landed_values("note") == ["a:b", "a:b"]


def test_everything_lands_as_text_null_as_null(shop, database):
    database.write([1], session_id=None, price="12.5", country="Österreich")
    shop.land()
    [(_, row)] = shop.landed()
    assert (row["id"], row["price"], row["session_id"], row["country"]) == ("1", "12.5", None, "Österreich")
    assert {str(kind) for kind in pq.read_schema(shop.landed_files()[0]).types} == {"string"}


def test_the_day_of_a_row_without_one_is_the_day_it_landed(shop, database):
    database.write([1], at(0))
    with database.engine.begin() as connection:
        connection.execute(database.table.update().values(written=None))
    shop.land(1)
    assert [each for each, _ in shop.landed()] == ["2026-01-03"]


def test_landed_rows_are_ingested_like_delivered_ones(shop, database):
    shop.open_days(3)
    database.write([1, 2], at(0))
    database.write([3], at(2), price=-1)
    shop.land(2)
    report = shop.ingest(0, 2)
    assert [each.rows_in for each in report.days] == [2, 0, 1]
    assert shop.ids(0) == ["e1", "e2"]
    assert shop.bad(2)[0]["reason"] == "range:price"


def test_a_day_that_is_not_over_is_not_ingested(shop, database):
    shop.open_days(2)
    database.write([1, 2], at(0))
    shop.land(0, timedelta(hours=24, minutes=14))
    with pytest.raises(IngestionError, match="2026-01-01 has not landed completely"):
        shop.ingest(0)
    shop.land(0, timedelta(hours=24, minutes=15))
    assert shop.ingest(0).rows_good == 2


def test_what_waits_at_the_source_is_seen_without_landing_it(shop, database):
    morning = at(1, "04:00:00")
    database.write([1])
    waiting = shop.unlanded(morning)
    assert waiting is not None
    assert shop.unlanded(morning) == waiting
    shop.land()
    assert shop.unlanded(morning) is None
    assert shop.unlanded(at(2, "04:00:00")) is not None  # another day is over
    database.write([2])
    assert shop.unlanded(morning) not in {None, waiting}


def test_a_lost_connection_is_tried_again_and_loses_nothing(tmp_path, database, monkeypatch):
    shop = with_source(tmp_path, attempts=4)
    database.write(range(1, 11))
    write, tries = sql.SqlConnector._write, []

    def breaks_off(self, *arguments):
        tries.append(len(tries))
        if len(tries) % 2:
            raise sql.UnreachableError("connection lost")
        return write(self, *arguments)

    monkeypatch.setattr(sql.SqlConnector, "_write", breaks_off)
    shop.land()
    assert ids(shop) == list(range(1, 11))


def test_a_source_that_stays_away_is_an_error_that_names_no_secret(tmp_path):
    shop = sourced_shop(
        tmp_path, SOURCE, {"SHOP_DB": "postgresql+psycopg://me:s%40cret@127.0.0.1:1/shop?connect_timeout=2"}
    )
    with pytest.raises(IngestionError, match="could not be read, 2 times") as caught:
        shop.land()
    assert "s@cret" not in str(caught.value)
    assert "s%40cret" not in str(caught.value)
    assert "tables.events.source" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cursor": "nope"}, "nope"),
        ({"day": "nope"}, "no column 'nope'"),
        ({"key": ["nope"]}, "nope"),
        ({"table": "nope"}, "no such table"),
        ({"overlap": "5 minutes"}, "does not fit a cursor like '3'"),
    ],
)
def test_a_mistake_in_the_yaml_is_named(tmp_path, database, changes, message):
    with_source(tmp_path)
    database.write([1, 2, 3])
    with pytest.raises(IngestionError, match=message):
        with_source(tmp_path, **changes).land()
        with_source(tmp_path, **changes).land()


def test_a_variable_that_is_not_set_is_named(tmp_path):
    with pytest.raises(IngestionError, match="SHOP_DB, named there, is not set"):
        sourced_shop(tmp_path, SOURCE).land()


def test_an_address_that_is_none_is_not_repeated(tmp_path):
    with pytest.raises(IngestionError, match="holds no SQLAlchemy address") as caught:
        sourced_shop(tmp_path, SOURCE, {"SHOP_DB": "hunter2"}).land()
    assert "hunter2" not in str(caught.value)


def test_a_source_that_was_just_read_is_left_alone_for_its_pause(tmp_path, database):
    shop = with_source(tmp_path, every="2 hours")
    database.write([1])
    shop.land()
    database.write([2])
    assert shop.unlanded(at(1, "04:59:59")) is None
    assert shop.unlanded(at(1, "05:00:00")) is not None


def restored(database, rows, *, at_day):
    """The table as of a backup with the first `rows` rows, then written on with numbers that landed before."""
    with database.engine.begin() as connection:
        connection.execute(database.table.delete().where(database.table.c.id > rows))
    database.write(range(rows + 1, rows + 41), at(at_day))


@pytest.mark.parametrize("overlap", [0, 5, 1000])
def test_a_source_restored_from_a_backup_is_refused_rather_than_skipped(tmp_path, database, overlap):
    shop = with_source(tmp_path, overlap=overlap)
    database.write(range(1, 101), at(0))
    shop.land()
    restored(database, 50, at_day=1)
    with pytest.raises(IngestionError, match="id ends at 90, but landing has come to 100: was it restored"):
        shop.land(1)
    assert len(ids(shop)) == 100


def test_a_restored_source_that_has_grown_past_what_landed_is_refused(shop, database):
    database.write(range(1, 101), at(0))
    shop.land()
    restored(database, 80, at_day=1)
    with pytest.raises(IngestionError, match=r"the row with id 100 landed with written 2026-01-01 .* was it restored"):
        shop.land(1)


def test_deleted_rows_hold_landing_back_until_there_are_newer_ones(shop, database):
    database.write([1, 2, 3])
    shop.land()
    with database.engine.begin() as connection:
        connection.execute(database.table.delete())
    assert shop.land().rows == 0
    database.write([4])
    assert shop.land().rows == 1


def test_times_that_go_back_as_local_time_does_are_refused(tmp_path, database):
    shop = with_source(tmp_path, cursor="written", key=["id"], overlap=0, day=None)
    database.write([1], at(0, "02:50:00"))
    shop.land()
    with database.engine.begin() as connection:
        connection.execute(database.table.delete())
    database.write([2], at(0, "02:10:00"))
    with pytest.raises(IngestionError, match="must be in UTC, as local time goes back"):
        shop.land()
