"""Objects of a store: each version once, changed ones visible, on this machine's disk and in S3."""

import os
import socket
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pytest
from sourced_shop import sourced_shop
from tiny_shop import EVENT_COLUMNS, at, day, event, write_rows

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.connectors import objects


class Disk:
    """A folder as a store."""

    def __init__(self, root: Path) -> None:
        self.root, self.address, self.options, self.env = root, f"file://{root}", {}, {}

    def put(self, name: str, local: Path, when: datetime) -> None:
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(local.read_bytes())
        os.utime(target, (when.replace(tzinfo=UTC).timestamp(),) * 2)


class S3:
    """A bucket of moto's S3 server, reached over HTTP like any other."""

    def __init__(self, endpoint: str, bucket: str) -> None:
        from moto.core import DEFAULT_ACCOUNT_ID
        from s3fs import S3FileSystem

        self.account = DEFAULT_ACCOUNT_ID
        self.bucket, self.address = bucket, f"s3://{bucket}"
        self.options = {"key": "${S3_KEY}", "secret": "${S3_SECRET}", "endpoint_url": "${S3_ENDPOINT}"}
        self.env = {"S3_KEY": "test", "S3_SECRET": "much-secret", "S3_ENDPOINT": endpoint}
        options = {name: self.env[value[2:-1]] for name, value in self.options.items()}
        self.store = S3FileSystem(**options, use_listings_cache=False, skip_instance_cache=True)
        self.store.mkdir(bucket)

    def put(self, name: str, local: Path, when: datetime) -> None:
        from moto.backends import get_backend

        self.store.put_file(str(local), f"{self.bucket}/{name}")
        kept = get_backend("s3")[self.account]["aws"].buckets[self.bucket].keys[name]
        kept.last_modified = when


@pytest.fixture(scope="module")
def s3_endpoint():
    server = pytest.importorskip("moto.server", reason="moto is not installed: no S3 server to test against")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    running.start()
    yield f"http://127.0.0.1:{port}"
    running.stop()


@pytest.fixture(params=["disk", "s3"])
def store(request, tmp_path):
    """The same tests for both."""
    if request.param == "disk":
        return Disk(tmp_path / "store")
    return S3(request.getfixturevalue("s3_endpoint"), f"b{abs(hash(tmp_path)):x}")


@pytest.fixture
def put(store, tmp_path):
    """Put a file of events with these ids into the store, as the name's suffix says."""

    def write(name, ids, when=None, **changes):
        rows = [event(each, **changes) for each in ids]
        local = write_rows(tmp_path / "local" / Path(name).name, rows, EVENT_COLUMNS)
        store.put(name, local, when or at(0))

    return write


@pytest.fixture
def new_shop(store, tmp_path):
    def make(pattern="events/*", **changes):
        source = {"kind": "files", "address": f"{store.address}/{pattern}", "options": store.options, **changes}
        return sourced_shop(tmp_path / "home", source, store.env)

    return make


def test_objects_land_in_the_day_they_were_written(new_shop, put):
    put("events/a.csv", "ab", at(0))
    put("events/b.parquet", "cd", at(1))
    put("events/c.jsonl", "e", at(1))
    shop = new_shop(piece_objects=2)
    landed = shop.land(1)
    assert (landed.pieces, landed.files, landed.days) == (2, 3, (day(0), day(1)))
    shop.open_days(2)
    shop.ingest(0, 1)
    assert (shop.ids(0), shop.ids(1)) == (["a", "b"], ["c", "d", "e"])


def test_the_address_says_the_day_where_it_can(new_shop, put):
    put(f"in/{day(0)}/x.csv", "a", at(5))
    put(f"in/{day(1)}/x.csv", "b", at(5))
    shop = new_shop("in/{day}/*.csv")
    assert shop.land(5).days == (day(0), day(1))
    shop.open_days(3)
    assert shop.ingest(0, 1).rows_good == 2
    with pytest.raises(IngestionError, match="2026-01-03 has not landed completely"):
        shop.ingest(2)


def test_an_object_lands_once(new_shop, put):
    put("events/a.csv", "ab")
    shop = new_shop()
    shop.land()
    assert shop.land().pieces == 0
    put("events/b.csv", "c", at(1))
    assert (shop.land(1).files, len(shop.landed_files())) == (1, 2)


def test_a_changed_object_takes_the_place_of_the_old_one_and_is_told(new_shop, put):
    shop = new_shop()
    shop.open_days(2)
    put("events/a.csv", "ab", at(0))
    shop.land()
    shop.ingest(0)
    put("events/a.csv", "abc", at(1), country="FR")
    landed = shop.land(1)
    assert landed.days == (day(0),)  # a correction of the day it belongs to
    assert "changed at the source since they landed: " in landed.notes[0]
    shop.ingest(0)
    assert [row["country"] for row in shop.good()] == ["FR", "FR", "FR"]
    assert len(list((shop.journal.folder / ".superseded").rglob("*.csv"))) == 1
    assert shop.land(1).pieces == 0


def test_what_waits_is_seen_in_the_listing(new_shop, put):
    shop = new_shop()
    put("events/a.csv", "a")
    assert shop.unlanded(at(1, "04:00:00")) is not None
    shop.land()
    assert shop.unlanded(at(1, "04:00:00")) is None
    put("events/a.csv", "ab", at(1))
    assert shop.unlanded(at(1, "04:00:00")) is not None


def test_an_object_that_changes_while_it_is_fetched_is_fetched_again(new_shop, put, monkeypatch):
    put("events/a.csv", "a")
    shop = new_shop(attempts=4)
    seen, calls = objects._seen, []

    def changes_once(path, entry):
        calls.append(path)
        if len(calls) == 3:  # head, listing, and now: the look after the fetch
            put("events/a.csv", "abc", at(1))
            return seen(path, {**entry, "size": -1})
        return seen(path, entry)

    monkeypatch.setattr(objects, "_seen", changes_once)
    shop.land(1)
    shop.open_days(2)
    assert shop.ingest(0, 1).rows_good == 3


def test_an_object_of_no_known_format_is_named(new_shop, put, store, tmp_path):
    (tmp_path / "x.docx").write_text("x")
    store.put("events/x.docx", tmp_path / "x.docx", at(0))
    with pytest.raises(IngestionError, match=r"x.docx has no known format"):
        new_shop().land()


def test_a_name_without_a_day_is_named(new_shop, put):
    put("in/today/x.csv", "a")
    with pytest.raises(IngestionError, match=r"today/x.csv has no day"):
        new_shop("in/{day}/*.csv").land()


def test_a_store_that_is_away_is_an_error_without_secrets(tmp_path):
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    options = {"key": "${S3_KEY}", "secret": "${S3_SECRET}", "endpoint_url": "http://127.0.0.1:1"}
    options["config_kwargs"] = {"retries": {"max_attempts": 0}}
    source = {"kind": "files", "address": "s3://bucket/*", "options": options}
    shop = sourced_shop(tmp_path, source, {"S3_KEY": "me", "S3_SECRET": "much-secret"})
    with pytest.raises(IngestionError, match="could not be read, 2 times") as caught:
        shop.land()
    assert "much-secret" not in str(caught.value)


def test_a_store_without_its_package_says_which(tmp_path):
    if find_spec("gcsfs"):
        pytest.skip("gcsfs is installed")
    source = {"kind": "files", "address": "gs://bucket/*"}
    with pytest.raises(IngestionError, match=r"gcsfs|google"):
        sourced_shop(tmp_path, source).land()
