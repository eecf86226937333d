"""The same against a real Postgres: concurrent transactions, its types, a server that goes away."""

import threading
from collections import Counter
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from databases import EventTable
from postgres import PASSWORD, URL_PASSWORD, Postgres, binaries
from sourced_shop import sourced_shop
from tiny_shop import at

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.connectors.sql import SqlConnector

SOURCE = {
    "kind": "sql", "address": "${SHOP_DB}", "table": "public.events", "cursor": "id", "overlap": 1000, "day": "written",
    "piece_rows": 50,
}  # fmt: skip


@pytest.fixture(scope="module")
def server():
    made = Postgres(binaries())
    yield made
    made.remove()


@pytest.fixture
def database(server):
    made = EventTable(server.address)
    yield made
    made.engine.dispose()


@pytest.fixture
def new_shop(tmp_path, server):
    def make(**changes):
        return sourced_shop(tmp_path / "home", {**SOURCE, **changes}, {"SHOP_DB": server.address})

    return make


def ids(shop):
    return [int(value) for value in shop.landed_values("id")]


def test_a_transaction_that_commits_late_is_not_lost(new_shop, database):
    shop = new_shop()
    with database.engine.connect() as slow:
        slow.execute(database.table.insert().values(id=1, written=at(0)))
        database.write([2, 3])
        assert shop.land().rows == 2
        slow.commit()
    assert shop.land().rows == 1
    assert shop.land().rows == 0
    assert sorted(ids(shop)) == [1, 2, 3]


def test_landing_beside_many_writers_brings_every_row_once(new_shop, database):
    shop = new_shop()
    numbers = [range(start, 400, 4) for start in range(4)]

    def write(mine):
        for number in mine:
            database.write([number], at(number % 3))

    writers = [threading.Thread(target=write, args=[mine]) for mine in numbers]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        shop.land(3)
    shop.land(3)
    assert Counter(ids(shop)) == Counter(range(400))


def test_values_of_postgres_land_in_their_exact_form(new_shop, server):
    engine = sa.create_engine(server.address)
    with engine.begin() as connection:
        connection.execute(sa.text("drop table if exists typed"))
        connection.execute(
            sa.text(
                "create table typed as select 7::bigint as id, '2026-01-01 23:30:00-02'::timestamptz as written, "
                "12.50::numeric(9,2) as price, 0.1::float8 as share, true as sold, null::text as nothing, "
                "'{\"a\": [1, \"ü\"]}'::jsonb as extra, array['x','y'] as tags, '\\x00ff'::bytea as raw, "
                "'6f3cf2a2-0a3b-4a6b-8a0c-0a1b2c3d4e5f'::uuid as ref, '2026-01-05'::date as due"
            )
        )
    engine.dispose()
    shop = new_shop(table="public.typed")
    shop.land(2)
    [(landed_on, row)] = shop.landed()
    assert landed_on == "2026-01-02"
    written = datetime.fromisoformat(row.pop("written"))
    assert written == datetime(2026, 1, 2, 1, 30, tzinfo=UTC)
    assert row == {
        "id": "7", "price": "12.50", "share": "0.1", "sold": "true", "nothing": None, "extra": '{"a": [1, "ü"]}',
        "tags": '["x", "y"]', "raw": "\x00\\xff", "due": "2026-01-05",
        "ref": "6f3cf2a2-0a3b-4a6b-8a0c-0a1b2c3d4e5f",
    }  # fmt: skip


def test_a_session_that_is_ended_between_pieces_is_opened_again(new_shop, database, monkeypatch):
    shop = new_shop(attempts=5)
    database.write(range(200))
    write, cut = SqlConnector._write, []

    def cut_then_write(self, *arguments):
        if len(cut) < 3:
            cut.append(1)
            with database.engine.begin() as connection:
                others = "from pg_stat_activity where pid <> pg_backend_pid() and usename = 'shop'"
                connection.execute(sa.text(f"select pg_terminate_backend(pid) {others}"))
        return write(self, *arguments)

    monkeypatch.setattr(SqlConnector, "_write", cut_then_write)
    shop.land()
    assert ids(shop) == list(range(200))


def test_a_server_that_went_down_is_an_error_and_goes_on_afterwards(new_shop, server, database):
    shop = new_shop()
    database.write(range(60))
    shop.land()
    database.write(range(60, 80))
    server.stop()
    with pytest.raises(IngestionError, match="could not be read, 2 times") as caught:
        shop.land()
    assert PASSWORD not in str(caught.value)
    server.start()
    assert shop.land().rows == 20
    assert ids(shop) == list(range(80))


def test_a_wrong_password_is_not_repeated(tmp_path, server):
    wrong = server.address.replace(URL_PASSWORD, "not-it-either")
    with pytest.raises(IngestionError, match="password authentication failed") as caught:
        sourced_shop(tmp_path, SOURCE, {"SHOP_DB": wrong}).land()
    assert "not-it-either" not in str(caught.value)


def test_a_table_without_rights_is_refused_at_once(new_shop, server):
    with pytest.raises(IngestionError, match="the database refuses the query"):
        new_shop(table="public.nothing_here").land()
