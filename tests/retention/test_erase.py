"""An erased entity is nowhere, stays away when it is delivered again, and nobody else loses a row."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from databases import EventTable
from erased_subject import GONE, OTHER, WHO, bytes_of
from sourced_shop import sourced_shop
from tiny_shop import EVENT_COLUMNS, at, day, event, tiny_shop

from ml_assets.ingestion.contract.erased import erased_home
from ml_assets.ingestion.days.ledger import changed_days, read_report
from ml_assets.retention import erase as module
from ml_assets.retention.erase import checked, erase, look, unfinished
from ml_assets.retention.places import PLACES, How, place_of, unknown
from ml_assets.retention.subject import Subject


def rows_of(number, **more):
    """A day: two rows of each, one of each in quarantine, one line that is no row."""
    found = []
    for who, short in ((GONE, "g"), (OTHER, "o")):
        found += [event(f"{short}{number}{n}", number, customer_id=who, price=str(n + 1)) for n in range(2)]
        found.append(event(f"{short}{number}q", number, customer_id=who, price="?", **more))
    return found


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_raw_rows_go_in_every_format_and_stay_away_when_delivered_again(tmp_path, suffix):
    shop = tiny_shop(tmp_path / "home", suffix=suffix)
    if suffix != ".parquet":
        address = f"{{landing}}/events/{{day}}{suffix}"
        from tiny_shop import simulated_shop

        shop.source = simulated_shop({"tables": {"events": {"address": address}}})
    shop.open_days(2)
    delivered = {}
    for number in range(2):
        path = shop.land_events(number, rows_of(number))
        if suffix == ".jsonl":
            path.write_text(path.read_text() + f'{{"customer_id": "{GONE}", broken\n')
        delivered[path] = path.read_bytes()
    shop.ingest(0, 1)
    receipt = erase(shop.settings, "customer_id", GONE)
    assert receipt.left == {}
    assert bytes_of(shop.settings.home) == []
    assert [shop.ids(number) for number in range(2)] == [["o00", "o01"], ["o10", "o11"]]
    assert [len(shop.bad(number)) for number in range(2)] == [1, 1]
    assert receipt.days == {"events": [str(day(0)), str(day(1))]}
    assert changed_days(shop.source, "events", shop.settings, day(0), day(1)) == [], "the ledger knows the new files"
    for path, content in delivered.items():
        path.write_bytes(content)
    report = shop.ingest(0, 1)
    each = 4 if suffix == ".jsonl" else 3
    assert report.rows_removed == {"erased": 2 * each}
    assert report.rows_in == report.rows_good + report.rows_quarantined + 2 * each == 2 * (each + 3)
    assert [shop.ids(number) for number in range(2)] == [["o00", "o01"], ["o10", "o11"]]
    assert GONE not in json.dumps(shop.bad(0), default=str).replace(OTHER, "")


def test_counts_balance_after_it_and_a_second_time_changes_nothing(tmp_path):
    shop = tiny_shop(tmp_path / "home")
    shop.open_days(1)
    shop.land_events(0, rows_of(0))
    shop.ingest(0)
    erase(shop.settings, "customer_id", GONE)
    report = read_report(shop.settings.lake, "events", day(0), day(0))
    assert (report.rows_in, report.rows_good, report.rows_quarantined, report.rows_removed) == (6, 2, 1, {"erased": 3})
    before = shop.files()
    assert erase(shop.settings, "customer_id", GONE).removed == {}
    assert shop.files() == before
    said = "".join(path.read_text() for path in erased_home(shop.settings).rglob("*.json*"))
    assert GONE not in said
    assert "backups" in said


def test_a_line_break_or_an_odd_quote_in_a_file_takes_no_other_row_along(tmp_path):
    shop = tiny_shop(tmp_path / "home", suffix=".csv")
    from tiny_shop import simulated_shop

    shop.source = simulated_shop({"tables": {"events": {"address": "{landing}/events/{day}.csv"}}})
    path = shop.settings.landing / "events" / f"{day(0)}.csv"
    path.parent.mkdir(parents=True)
    header = ",".join(EVENT_COLUMNS)
    lines = [f'e{n},{day(0)}T10:00:00,{OTHER},P1,view,"S\n1",1,1.0,GB' for n in range(2)]
    lines += [f'g,{day(0)}T10:00:00,{GONE},P1,view,"S\n1",1,1.0,GB', f'x,"{OTHER}', f"y,{day(0)},{GONE}", f"z,{OTHER}"]
    path.write_text("\n".join([header, *lines, ""]))
    module.clean_landed(shop.settings, shop.source.table("events"), WHO)
    assert path.read_text() == "\n".join([header, *lines[:2], lines[3], lines[5], ""])


def test_a_short_id_is_looked_for_in_its_columns_alone(tmp_path):
    shop = tiny_shop(tmp_path / "home")
    shop.open_days(1)
    rows = [event("a", customer_id="7"), event("b", customer_id="17"), event("7", customer_id="70", quantity="7")]
    shop.land_events(0, [*rows, event("d", customer_id="7", price="?"), event("e", customer_id="77", price="7?")])
    shop.ingest(0)
    receipt = erase(shop.settings, "customer_id", "7")
    assert receipt.left == {}
    assert shop.ids() == ["7", "b"]
    assert len(shop.bad()) == 1
    assert any("too short" in text for text in receipt.outside)


def test_landed_files_keep_the_journals_word(tmp_path, monkeypatch):
    address = f"sqlite:///{tmp_path / 'shop.db'}"
    database = EventTable(address)
    database.write([1, 2, 3], at(0))
    database.engine.dispose()
    source = {"kind": "sql", "address": "${DB}", "table": "events", "cursor": "id", "overlap": 1, "day": "written"}
    shop = sourced_shop(tmp_path / "home", source, {"DB": address})
    shop.open_days(1)
    shop.land()
    shop.ingest(0)
    customer = shop.good()[0]["customer_id"]
    table, who = shop.source.table("events"), Subject("customer_id", customer, frozenset({"customer_id"}))
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            module.clean_landed(shop.settings, table, who)
    rows, hashes = module.clean_landed(shop.settings, table, who)
    assert rows >= 1
    assert len(hashes) == 1
    shop.ingest(0)  # the journal takes the file for the one that landed
    assert customer not in {row["customer_id"] for row in shop.good()}


@pytest.mark.parametrize(
    "place", [place for place in PLACES if "tmp" not in place.pattern], ids=lambda place: place.pattern
)
def test_looking_finds_an_id_in_every_place(settings, place):
    name = place.pattern.replace(".db*", ".db").replace("**", "deep").replace("*", "x")
    path = settings.shop_home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"customer_id": [GONE, OTHER]}), path)
    elif name == "warehouse.duckdb":
        with duckdb.connect(str(path)) as made:
            made.execute("create table t as select ? as customer_id", [GONE])
    elif path.suffix == ".db" and place.how in {How.ONLINE, How.DATABASE}:
        with closing(sqlite3.connect(path)) as made, made:
            made.execute("create table t (customer_id)")
            made.execute("insert into t values (?)", [GONE])
    else:
        path.write_text(f"said {GONE} and {OTHER}")
    assert place_of(name) is not None
    found = look(settings, checked(settings, "customer_id", GONE, ()))
    assert sum(found.values()) >= 1


def test_a_place_that_nobody_registered_is_found_and_looked_through(settings):
    odd = settings.shop_home / "odd" / "place.bin"
    odd.parent.mkdir(parents=True)
    odd.write_bytes(b"\0" + GONE.encode())
    assert unknown(settings) == ["odd/place.bin"]
    assert look(settings, WHO) == {"places unknown to this code": 1}
    receipt = erase(settings, "customer_id", GONE)
    assert receipt.left == {"places unknown to this code": 1}, "what is left is said, not taken for gone"


def test_an_erasure_that_was_killed_is_known_and_finished_by_the_next(tmp_path, monkeypatch):
    shop = tiny_shop(tmp_path / "home")
    shop.open_days(1)
    shop.land_events(0, rows_of(0))
    shop.ingest(0)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_stores", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            erase(shop.settings, "customer_id", GONE)
    assert len(unfinished(shop.settings)) == 1
    assert erase(shop.settings, "customer_id", GONE).left == {}
    assert unfinished(shop.settings) == []


def test_what_is_no_column_of_any_table_is_refused_with_those_there_are(settings):
    with pytest.raises(ValueError, match="no raw table has a column person: --entity is one of"):
        erase(settings, "person", GONE)


@pytest.mark.parametrize("nth", range(9))
def test_killed_at_any_swap_it_is_finished_by_the_next_run_and_no_row_is_lost(tmp_path, monkeypatch, nth):
    shop = tiny_shop(tmp_path / "home")
    shop.open_days(2)
    for number in range(2):
        shop.land_events(number, rows_of(number))
    shop.ingest(0, 1)
    swaps, replace = [], Path.replace

    def killed(path, target):
        swaps.append(path)
        if len(swaps) == nth + 1:
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            erase(shop.settings, "customer_id", GONE)
    assert erase(shop.settings, "customer_id", GONE).left == {}
    report = read_report(shop.settings.lake, "events", day(0), day(1))
    assert (report.rows_good, report.rows_quarantined) == (4, 2)
    assert report.rows_in == 6 + sum(report.rows_removed.values())
    shop.ingest(0, 1)
    assert [shop.ids(number) for number in range(2)] == [["o00", "o01"], ["o10", "o11"]]
