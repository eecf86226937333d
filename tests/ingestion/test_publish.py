"""All or nothing, whatever breaks and wherever."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tiny_shop import day, event

from ml_assets.ingestion import ingest as module
from ml_assets.ingestion.publish import part, stage


class Boom(Exception):
    """Something broke."""


@pytest.fixture
def published(shop):
    for number in range(3):
        shop.land_events(number, [event(f"old{number}", number)])
    shop.ingest(0, 2)
    for number in range(3):
        shop.land_events(number, [event(f"new{number}", number), event("bad", number, price="x")])
    return shop


def leftovers(shop):
    return [path for path in shop.settings.lake.rglob("*") if path.suffix in {".tmp", ".old"}] + list(
        (shop.settings.lake / ".staging" / "events").glob("*")
    )


def test_a_failure_while_writing_leaves_the_old_version_whole(published, monkeypatch):
    before, written = published.files(), []
    write = pq.write_table

    def fail_on_the_third(table, path, **options):
        written.append(path)
        if len(written) == 3:
            raise Boom
        write(table, path, **options)

    monkeypatch.setattr(pq, "write_table", fail_on_the_third)
    with pytest.raises(Boom):
        published.ingest(0, 2)
    assert published.files() == before
    assert leftovers(published) == []


def test_a_failure_in_the_middle_of_the_swap_puts_the_old_version_back(published, monkeypatch):
    published.part(1).unlink()  # a day that had no old version
    before, replace = published.files(), Path.replace

    def fail_on_the_last_day(self, target):
        if f"event_day={day(2)}" in str(target) and self.suffix == ".parquet":
            raise Boom
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail_on_the_last_day)
    with pytest.raises(Boom):
        published.ingest(0, 2)
    assert published.files() == before
    assert leftovers(published) == []


def test_a_failure_of_the_ledger_puts_the_old_version_back(published, monkeypatch):
    before = published.files()

    def fail(*_):
        raise Boom

    monkeypatch.setattr(module, "append_entries", fail)
    with pytest.raises(Boom):
        published.ingest(0, 2)
    assert published.files() == before


def test_what_a_killed_run_left_is_removed(published):
    dead = published.settings.lake / ".staging" / "events" / "events" / "event_day=2026-01-01"
    dead.mkdir(parents=True)
    (dead / "part.parquet").write_text("half")
    published.ingest(0, 2)
    assert published.ids(0) == ["new0"]
    assert leftovers(published) == []


def test_the_swap_happens_only_when_asked(tmp_path):
    with stage(tmp_path, "events") as staged:
        staged.aside("events", day(0)).write_text("x")
    assert not part(tmp_path, "events", day(0)).exists()
