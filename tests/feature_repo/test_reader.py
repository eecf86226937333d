"""Reading without Feast, from either online store: ttl, changed views, a writer at work, keys of every kind."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from online_stores import PAIRS, PRODUCTS, SERVICE, Small, minutes, pairs, small_store, versions

from feature_repo.reader import open_reader
from feature_repo.stores.description import OnlineStoreError, ServiceDescription, ViewColumns
from ml_assets.config.settings import PROJECT

NOW = minutes(60).replace(tzinfo=UTC).timestamp()


@pytest.fixture(params=["sqlite", "redis"])
def small(request, tmp_path) -> Small:
    """An empty store that describes one service."""
    address = request.getfixturevalue("empty_redis") if request.param == "redis" else ""
    small = small_store(request.param, tmp_path, address)
    return small.ready()


IDS = st.none() | st.sampled_from(["a", "b", "c", "ä:1", "nobody"])
LIKED = st.dictionaries(st.tuples(*[st.sampled_from(["a", "b", "c", "ä:1"])] * 2), st.none() | st.booleans())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(liked=LIKED, rows=st.lists(st.tuples(IDS, IDS), max_size=12), one=st.booleans())
def test_every_row_gets_its_own_values_whoever_asks_for_what(small, liked, rows, one):
    if one and rows:
        rows = [(rows[0][0], product) for _, product in rows]
    small.write("rebuild", PAIRS, pairs(liked))
    with closing(open_reader(small.address, "service")) as reader:
        customers, products = [customer for customer, _ in rows], [product for _, product in rows]
        found = reader.read_many(customers, products, [None] * len(rows), NOW)
    value = {None: np.nan, True: 1.0, False: 0.0}
    assert found.shape == (len(rows), 3)
    assert found.dtype == np.float64
    assert np.array_equal(found[:, 0], [value[liked.get(row)] for row in rows], equal_nan=True)


def test_a_row_counts_until_its_ttl_has_passed_at_the_moment_asked_for(small):
    table = replace(PRODUCTS, ttl_seconds=600.0)
    view = ViewColumns("product", table, ("version",))
    small.describe(ServiceDescription("service", ("product__version",), (view,)))
    small.write("rebuild", table, versions(1, 1, at=60))
    with closing(open_reader(small.address, "service")) as reader:
        asked = reader.read_many(["c"] * 3, ["p0"] * 3, [None] * 3, np.array([NOW, NOW + 600, NOW + 600.001]))
    assert np.array_equal(asked[:, 0], [1, 1, np.nan], equal_nan=True)


def test_newer_values_are_read_at_once_and_older_ones_never(small):
    small.write("rebuild", PRODUCTS, versions(5, 2))
    with closing(open_reader(small.address, "service")) as reader:

        def version() -> list[float]:
            return reader.read("c", ["p0", "p1"], [None] * 2, NOW)[:, 2].tolist()

        assert version() == [5, 5]
        small.write("push", PRODUCTS, versions(7, 1))
        assert version() == [7, 5]
        small.write("push", PRODUCTS, versions(6, 2))
        assert version() == [7, 6]
        small.write("advance", PRODUCTS, versions(6, 2))
        small.write("rebuild", PRODUCTS, versions(6, 2))
        assert version() == [7, 6]


def test_a_view_that_gains_a_column_is_read_on_and_one_that_loses_a_column_is_an_error(small):
    small.write("rebuild", PRODUCTS, versions(5, 2))
    wider = replace(PRODUCTS, features=(("new", "float"), *PRODUCTS.features))
    narrow = replace(PRODUCTS, features=PRODUCTS.features[1:])
    rows = versions(6, 2)
    with closing(open_reader(small.address, "service")) as reader:
        assert reader.read("c", ["p0"], [None], NOW)[0, 1:].tolist() == [2.5, 5]
        small.write("rebuild", wider, rows.append_column("new", pa.array([0.5, None], pa.float64())))
        assert reader.read("c", ["p0", "p1"], [None] * 2, NOW)[:, 1:].tolist() == [[3, 6]] * 2
        small.write("rebuild", narrow, rows)
        with pytest.raises(OnlineStoreError, match="product no longer has version"):
            reader.read("c", ["p0"], [None], NOW)
        small.write("rebuild", PRODUCTS, rows)
        assert reader.read("c", ["p0"], [None], NOW)[0, 1:].tolist() == [3, 6]


WATCH = """
import sys, time, pathlib
from feature_repo.reader import open_reader
address, products = sys.argv[1], [f"p{n}" for n in range(0, 20_000, 97)]
reader = open_reader(address if "://" in address else pathlib.Path(address), "service", patience=20.0)
seen, reads, slowest = set(), 0, 0.0
print("ready", flush=True)
while 3 not in seen:
    began = time.monotonic()
    found = reader.read("c", products, [None] * len(products), 0.0)[:, 2]
    slowest = max(slowest, time.monotonic() - began)
    versions = set(found.tolist())
    assert len(versions) == 1, versions
    seen |= versions
    reads += 1
print(sorted(seen), reads)
"""


def test_a_reader_in_another_process_sees_one_version_or_the_next_while_all_rows_are_written_anew(small):
    """It asserts that in no read a row is missing or of another version than the others."""
    small.write("rebuild", PRODUCTS, versions(1, 20_000))
    command = [sys.executable, "-c", WATCH, str(small.address)]
    watch = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert watch.stdout.readline() == "ready\n", watch.stderr.read()
        for version in (2, 3):
            time.sleep(0.2)
            small.write("rebuild", PRODUCTS, versions(version, 20_000))
        said, complaint = watch.communicate(timeout=60)
    finally:
        watch.kill()
    assert watch.returncode == 0, complaint
    seen, _, reads = said.rpartition(" ")
    assert seen in {"[1.0, 2.0, 3.0]", "[1.0, 3.0]", "[2.0, 3.0]"}
    assert int(reads) > 5


def test_what_was_opened_is_told_from_what_took_its_place(small, tmp_path):
    with closing(open_reader(small.address, "service")) as reader:
        assert reader.current()
        assert reader.feature_names == list(SERVICE.features)
        if isinstance(small.address, str):
            return
        small.address.rename(tmp_path / "away.db")
        assert not reader.current()
        (tmp_path / "copy.db").write_bytes((tmp_path / "away.db").read_bytes())
        (tmp_path / "copy.db").rename(small.address)
        assert not reader.current()


def test_a_service_that_is_not_there_is_named(small):
    with pytest.raises(OnlineStoreError, match="no feature service 'other'; it has service"):
        open_reader(small.address, "other")


def test_an_online_store_that_was_never_written_is_said_to_be_missing(tmp_path, redis_server):
    with pytest.raises(OnlineStoreError, match="no online store at"):
        open_reader(tmp_path / "online.db", "service")
    with pytest.raises(OnlineStoreError, match=r"no redis://.*/9 feature_services: apply"):
        open_reader(f"{redis_server}/9", "service")
