"""The log, the warehouse, online stores and texts without an erased entity."""

import sqlite3
from contextlib import closing

import duckdb
from answer_lines import DAY, NAME, Log, outcome, prediction, refusal, spec
from erased_subject import GONE, OTHER, WHO, bytes_of
from redis_server import running_redis

from ml_assets.prediction_log import account, collect, publish_day
from ml_assets.prediction_log.collect import uncollected
from ml_assets.retention.answers import clean_answers
from ml_assets.retention.removal import clean_database, find_in_database, mask_text
from ml_assets.retention.stores import clean_redis, clean_warehouse, redis_keys


def answered(settings):
    log = Log(settings)
    theirs = [prediction(f"o{n}", hour=n, customer=OTHER) for n in range(3)]
    ours = [prediction(f"g{n}", hour=n, customer=GONE) for n in range(3)]
    log.write(*theirs, *ours, outcome("g1"), outcome("o1"), refusal(), refusal() | {"error": f"no such {GONE}"})
    log.write(segment="20260302T000000000001-999999998").write_bytes(f'{{"x": "{GONE}"}}\n'.encode() + b"nonsense\n")
    collect(settings, NAME)
    publish_day(settings, spec(), DAY.date())
    log.write(prediction("g9", customer=GONE), prediction("o9", customer=OTHER))
    return log


def test_answers_go_from_lines_parts_and_days_and_the_books_still_balance(settings):
    log = answered(settings)
    sizes = {path: path.stat().st_size for path in log.folder.glob("*.jsonl")}
    removed = clean_answers(settings, NAME, WHO)
    assert removed["log"] == 7
    assert bytes_of(settings.home) == []
    assert {path: path.stat().st_size for path in sizes} == sizes
    found = account(settings, NAME, DAY.date())
    assert (found.ok, found.answers, found.table) == (True, 3, 3), found
    collect(settings, NAME)
    assert uncollected(settings, NAME) == 0
    publish_day(settings, spec(), DAY.date())
    assert account(settings, NAME, DAY.date()).ok
    assert set(log.ids()) == {"o0", "o1", "o2", "o9"}
    assert "g1" not in (log.folder / "20260302T000000000000-999999999.jsonl").read_text(), "what became of an answer"
    assert clean_answers(settings, NAME, WHO) == {"log": 0, "log parts": 0, "daily predictions": 0}


def test_a_line_that_a_kill_left_half_overwritten_is_overwritten_again(settings):
    log = Log(settings)
    path = log.write(prediction("g1", customer=GONE))
    line = path.read_bytes()
    path.write_bytes(b"\x1a" + b" " * 40 + line[41:])
    assert GONE.encode() in path.read_bytes()
    clean_answers(settings, NAME, WHO)
    assert GONE.encode() not in path.read_bytes()
    assert len(path.read_bytes()) == len(line)
    assert collect(settings, NAME).bad == 0


def test_the_warehouse_loses_the_rows_and_their_bytes_and_keeps_its_views(settings):
    settings.warehouse.parent.mkdir(parents=True)
    with duckdb.connect(str(settings.warehouse)) as made:
        made.execute("create table feat (customer_id varchar, x int)")
        made.execute(f"insert into feat select '{GONE}', i from range(5000) t(i)")
        made.execute(f"insert into feat values ('{OTHER}', 1)")
        made.execute("create table counted (customer int, product_id varchar)")
        made.execute(f"insert into counted values (1, '{GONE}-not')")
        made.execute(f"create table renamed as select '{GONE}' as buyer")
        made.execute("create view newest as select customer_id, max(x) as x from feat group by all")
        made.execute("checkpoint")
    assert clean_warehouse(settings, WHO) == 5001
    with duckdb.connect(str(settings.warehouse), read_only=True) as found:
        assert found.sql("from newest").fetchall() == [(OTHER, 1)]
        assert found.sql("select count(*) from counted").fetchall() == [(1,)]
    assert bytes_of(settings.home) == []
    assert clean_warehouse(settings, WHO) == 0


def test_a_sqlite_file_loses_rows_texts_and_free_pages(tmp_path):
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("pragma journal_mode = wal")
        made.execute("create table rows (customer_id text, x blob, primary key (customer_id)) without rowid")
        made.execute("create table logs (id integer primary key, said text, packed blob, n integer)")
        made.executemany("insert into rows values (?, 1)", [(GONE,), (OTHER,)])
        made.execute("insert into logs values (1, ?, ?, 42)", (f"no {GONE}, but {OTHER}", GONE.encode() + b"\0\1"))
        made.execute("insert into logs values (2, ?, null, 1)", (GONE * 500,))
        made.execute("delete from logs where id = 2")
    assert find_in_database(path, WHO) == 1
    assert clean_database(path, WHO) == 3
    with closing(sqlite3.connect(path)) as found:
        assert found.execute("select customer_id from rows").fetchall() == [(OTHER,)]
        assert found.execute("select * from logs").fetchall() == [(1, f"no ******, but {OTHER}", b"******\0\1", 42)]
    assert not [each for each in tmp_path.iterdir() if GONE.encode() in each.read_bytes().replace(OTHER.encode(), b"")]


def test_rows_in_redis_go_by_the_key_that_has_the_id_and_no_other(settings, tmp_path):
    from feature_repo.stores.packed import WideTable
    from feature_repo.stores.wide_redis_rows import connect, suffix

    tables = [
        WideTable("shop__customer", ("customer_id",), (("n", "int"),), 0.0),
        WideTable("shop__pair", ("customer_id", "product_id"), (("n", "int"),), 0.0),
        WideTable("shop__product", ("product_id",), (("n", "int"),), 0.0),
    ]
    with running_redis(tmp_path) as address, connect(f"{address}/0") as client:
        there = settings.model_copy(update={"online_store_address": f"{address}/0"})
        stay = [(0, [], OTHER), (1, [OTHER], GONE), (2, [], GONE)]
        for at_, leading, last in [*stay, (0, [], GONE), (1, [GONE], "a:b")]:
            table, end = tables[at_], suffix(leading, last)
            client.set(f"{table.table}:generation", f"7-{table.form}")
            client.set(f"{table.table}:definition:7", table.to_json())
            client.set(f"{table.table}:7:{end}", b"row")
            client.set(f"{table.table}:6:{end}", b"row of a stale generation")
            client.sadd(f"{table.table}:pushed", end)
            client.hset(f"{table.table}:progress", "recent", f"{GONE} and {OTHER}" if at_ == 0 else "")
        assert clean_redis(there, WHO) == 4
        assert redis_keys(there, WHO) == []
        for at_, leading, last in stay:
            end = suffix(leading, last)
            assert client.get(f"{tables[at_].table}:7:{end}") == b"row"
            assert client.smembers(f"{tables[at_].table}:pushed") == {end.encode()}
        assert client.hget("shop__customer:progress", "recent") == f"****** and {OTHER}".encode()


def test_stars_stand_over_an_id_in_a_log_and_its_writer_goes_on(tmp_path):
    path = tmp_path / "server.log"
    path.write_text(f"{OTHER} {GONE}: bad\n")
    with path.open("a") as writer:
        assert mask_text(path, WHO) == 1
        writer.write("more\n")
    assert path.read_text() == f"{OTHER} ******: bad\nmore\n"
