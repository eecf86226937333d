"""Whatever arrives, and wherever landing is killed: every key, offset and object lands exactly once."""

import gc
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from databases import EventTable
from hypothesis import Phase, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sourced_shop import sourced_shop
from tiny_shop import EVENT_COLUMNS, at, day, event, write_rows

from ml_assets.config.settings import PROJECT
from ml_assets.ingestion import connectors as sources

PHASES = [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]
OVERLAP = 8
CODE = str(Path(sources.__file__).parent)
kills = st.lists(st.integers(0, 900), max_size=4)
"""After how many of its own lines each landing dies."""


class Killed(BaseException):
    """Nothing catches this."""


def land_and_die(shop, lines):
    """Land, but die after so many lines of the library's own code, wherever that is."""
    left = lines

    def within(frame, happening, _):
        nonlocal left
        left -= happening == "line"
        if left < 0:
            sys.settrace(None)
            raise Killed
        return within

    sys.settrace(lambda frame, *_: within if frame.f_code.co_filename.startswith(CODE) else None)
    try:
        with suppress(Killed):
            shop.land(3)
    finally:
        sys.settrace(None)
        gc.collect()  # a process that dies lets its connections go


@hypothesis_settings(max_examples=25, deadline=None, phases=PHASES)
@example(order=random.Random(0), sizes=[2, 1], kills=[213])
@given(order=st.randoms(use_true_random=False), sizes=st.lists(st.integers(0, 12), max_size=5), kills=kills)
def test_every_row_lands_once(tmp_path_factory, order, sizes, kills):
    home = tmp_path_factory.mktemp("sql")
    address = f"sqlite:///{home / 'shop.db'}"
    database = EventTable(address)
    source = {"kind": "sql", "address": "${DB}", "table": "events", "cursor": "id", "overlap": OVERLAP,
              "day": "written", "piece_rows": 5}  # fmt: skip
    shop = sourced_shop(home / "home", source, {"DB": address})
    arriving = [number for start in range(0, 64, OVERLAP) for number in shuffled(order, range(start, start + OVERLAP))]
    written = 0
    for size in sizes:
        for number in arriving[written : written + size]:
            database.write([number], at(number % 3))
        written += size
        land_and_die(shop, kills.pop() if kills else 10**9)
    database.engine.dispose()
    shop.land(3)
    assert Counter(int(value) for value in shop.landed_values("id")) == Counter(arriving[:written])
    assert {each for each, row in shop.landed() if int(row["id"]) % 3 == 1} <= {"2026-01-02"}


def shuffled(order, numbers):
    mixed = list(numbers)
    order.shuffle(mixed)
    return mixed


@pytest.fixture(scope="module")
def broker():
    pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed (extra `kafka`)")
    from broker import Broker

    return Broker()


@hypothesis_settings(max_examples=8, deadline=None, phases=PHASES)
@given(sent=st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=8), max_size=4), kills=kills)
def test_every_offset_lands_once(tmp_path_factory, broker, sent, kills):
    home = tmp_path_factory.mktemp("kafka")
    source = {"kind": "kafka", "bootstrap": broker.bootstrap, "topic": f"once-{home.name}", "piece_rows": 3}
    shop = sourced_shop(home, source)
    counts = Counter()
    broker.send_event(source["topic"], "first")
    for batch in sent:
        for partition, number in batch:
            broker.send_event(source["topic"], "x", partition=partition, when=at(number))
            counts[partition] += 1
        land_and_die(shop, kills.pop() if kills else 10**9)
    shop.land(3)
    counts[0] += 1
    landed = Counter((int(row["kafka_partition"]), int(row["kafka_offset"])) for _, row in shop.landed())
    assert landed == Counter((partition, offset) for partition, of in counts.items() for offset in range(of))
    for path in shop.landed_files():
        first, last = path.stem.split("-")[-2:]
        assert int(first) <= int(last)


@hypothesis_settings(max_examples=25, deadline=None, phases=PHASES)
@given(
    puts=st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), max_size=3), max_size=4), kills=kills
)
def test_every_version_of_an_object_that_was_there_lands_once(tmp_path_factory, puts, kills):
    home = tmp_path_factory.mktemp("files")
    store, now, written = home / "store", {}, count(1)
    source = {"kind": "files", "address": f"file://{store}/*.csv", "piece_objects": 1}
    shop = sourced_shop(home / "home", source)
    store.mkdir()
    for batch in puts:
        for name, rows in batch:
            path = write_rows(store / f"{name}.csv", [event(str(n)) for n in range(rows)], EVENT_COLUMNS)
            stamp = at(0).timestamp() + next(written)  # each write is a version of its own
            os.utime(path, (stamp, stamp))
            now[name] = path.read_bytes()
        land_and_die(shop, kills.pop() if kills else 10**9)
    shop.land(3)
    spans = Counter((span["path"], span["version"]) for _, span in shop.journal.files())
    assert set(spans.values()) <= {1}
    assert sorted(path.read_bytes() for path in shop.landed_files()) == sorted(now.values())


def test_a_killed_process_loses_and_doubles_nothing(tmp_path):
    rows, anywhere = 6000, random.Random(7)
    address = f"sqlite:///{tmp_path / 'shop.db'}"
    database = EventTable(address)
    for number in range(3):
        database.write(range(number, rows, 3), at(number))
    source = {"kind": "sql", "address": "${DB}", "table": "events", "cursor": "id", "overlap": 50, "day": "written",
              "piece_rows": 100}  # fmt: skip
    shop = sourced_shop(tmp_path / "home", source, {"DB": address})
    here = Path(__file__).parent
    environment = {**os.environ, "DB": address, "PYTHONPATH": os.pathsep.join(map(str, [here, here.parent, PROJECT]))}
    command = [sys.executable, str(here / "landing_child.py"), str(tmp_path / "home"), json.dumps(source)]
    for _ in range(4):
        before = shop.journal.last()
        child = subprocess.Popen(command, env=environment, cwd=PROJECT)
        while child.poll() is None and shop.journal.last() < before + 3:
            time.sleep(0.002)
        time.sleep(anywhere.uniform(0, 0.05))
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, "the landing ended before it was killed"
    database.engine.dispose()
    shop.land(3)
    assert Counter(int(value) for value in shop.landed_values("id")) == Counter(range(rows))
    assert shop.journal.days_since(0) == [day(0), day(1), day(2)]
