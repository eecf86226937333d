"""All or nothing, whatever breaks and wherever."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from killed_at import SEEN, killed_at_each_step
from small_disk import fill, small_disk
from tiny_shop import day, event, tiny_shop

from ml_assets.config.settings import PROJECT
from ml_assets.ingestion import swap
from ml_assets.ingestion.days.ledger import changed_days, ledger_path, read_ledger
from ml_assets.ingestion.publish import finish_swaps, part, stage


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

    def fail(path, lines):
        with path.open("a") as opened:
            opened.write(lines[: len(lines) // 2])
        raise Boom

    monkeypatch.setattr(swap, "append", fail)
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


OLD, NEW = {"a": "old a", "b": "old b"}, {"a": "new a", "b": "new b", "c": "new c"}
STEPS = 12
"""At least as many as a swap of three files has."""


def state(lake):
    """The text of each table's part, and the ledger."""
    parts = {name: part(lake, name, day(0)) for name in NEW}
    ledger = lake / "_ledger" / "t.jsonl"
    return {name: path.read_text() for name, path in parts.items() if path.exists()}, ledger.read_text()


def swapped(lake):
    with stage(lake, "t") as staged:
        for name, text in NEW.items():
            staged.aside(name, day(0)).write_text(text)
        staged.publish(lake / "_ledger" / "t.jsonl", "2\n")


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def dies_after(calls, act):
    """`act`, and a kill instead of the call after so many of them."""
    left = [calls]

    def counted(*arguments):
        left[0] -= 1
        return act(*arguments) if left[0] >= 0 else die()

    return counted


def old_lake(folder):
    for name, text in OLD.items():
        path = part(folder, name, day(0))
        path.parent.mkdir(parents=True)
        path.write_text(text)
    (folder / "_ledger").mkdir()
    (folder / "_ledger" / "t.jsonl").write_text("1\n")
    return folder


@pytest.fixture
def lake(tmp_path):
    return old_lake(tmp_path)


def test_a_swap_that_is_killed_anywhere_is_finished_or_left_out(tmp_path):
    lakes = []

    def fresh(moment):
        lakes.append(old_lake(tmp_path / str(moment)))

    for _ in killed_at_each_step(fresh, lambda: swapped(lakes[-1]), SEEN):
        lake = lakes[-1]
        noted = swap.unsettled(lake / ".staging" / "t")
        finish_swaps(lake)
        assert state(lake) in ((OLD, "1\n"), (NEW, "1\n2\n"))
        assert state(lake)[0] == NEW or not noted
        swapped(lake)
        assert state(lake)[0] == NEW
        assert not any((lake / ".staging").glob("t/*"))
    assert len(lakes) > 7


@pytest.mark.parametrize("calls", range(STEPS))
def test_a_swap_that_fails_and_is_killed_anywhere_is_finished_or_undone(lake, calls):
    child = os.fork()
    if child == 0:
        Path.replace = dies_after(calls, Path.replace)  # the note, each file, and each one that is put back
        swap.append = lambda *_: 1 / 0
        try:
            swapped(lake)
        finally:
            die()
    os.waitpid(child, 0)
    finish_swaps(lake)
    assert state(lake) in ((OLD, "1\n"), (NEW, "1\n2\n"))
    if calls >= STEPS - 2:
        assert state(lake) == (OLD, "1\n")
    swapped(lake)
    assert state(lake)[0] == NEW
    assert not any((lake / ".staging").glob("t/*"))


KILLED = """
import os, signal, sys
from datetime import date
from pathlib import Path
sys.path[:0] = sys.argv[4:]
from tiny_shop import tiny_shop, day

replace, left = Path.replace, [int(sys.argv[2])]

def counted(self, target):
    if "event_day=" in str(target):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

Path.replace = counted
tiny_shop(Path(sys.argv[1])).ingest(0, int(sys.argv[3]))
"""


@pytest.mark.parametrize("swapped_files", [1, 4])
def test_a_killed_ingestion_is_finished_by_whoever_comes_next(published, swapped_files):
    home = published.settings.home
    before = published.files()
    code = [sys.executable, "-c", KILLED, str(home), str(swapped_files), "2", str(PROJECT), str(Path(__file__).parent)]
    killed = subprocess.run(code, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert published.files() != before
    finish_swaps(published.settings.lake)
    assert [published.ids(number) for number in range(3)] == [["new0"], ["new1"], ["new2"]]
    entries = read_ledger(published.settings.lake, "events")
    assert [entries[day(number)].report.rows_quarantined for number in range(3)] == [1, 1, 1]
    assert changed_days(published.source, "events", published.settings, day(0), day(2)) == []


def test_a_full_disk_under_the_ledger_leaves_every_day_to_be_ingested_again(tmp_path):
    count = 20
    shop = tiny_shop(tmp_path / "home")
    shop.open_days(count)
    with small_disk(shop.settings.lake / "small") as disk:
        ledger = ledger_path(shop.settings.lake, "events")
        ledger.symlink_to(disk / "events.jsonl")
        for number in range(count):
            shop.land_events(number, [event(f"old{number}", number)])
        shop.ingest(0, count - 1)
        before = ledger.read_text()
        ballast = fill(disk)
        for number in range(count):
            shop.land_events(number, [event(f"new{number}", number)])
        with pytest.raises(OSError, match="No space left"):
            shop.ingest(0, count - 1)
        assert ledger.read_text() == before
        assert [shop.ids(number) for number in range(count)] == [[f"old{number}"] for number in range(count)]
        changed = changed_days(shop.source, "events", shop.settings, day(0), day(count - 1))
        assert changed == [day(number) for number in range(count)]
        ballast.unlink()
        shop.ingest(0, count - 1)
        assert [shop.ids(number) for number in range(count)] == [[f"new{number}"] for number in range(count)]


@pytest.mark.parametrize("table", ["events", "events_quarantine"])
def test_a_part_that_is_not_what_the_ledger_says_is_no_current_day(published, table):
    published.ingest(0, 2)
    other = part(published.settings.lake, table, day(0)).read_bytes()
    path = part(published.settings.lake, table, day(1))
    path.write_bytes(other)
    assert changed_days(published.source, "events", published.settings, day(0), day(2)) == [day(1)]
