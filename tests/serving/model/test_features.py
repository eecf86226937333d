"""The guarded reader on real stores that are locked, deleted, replaced, cut off, garbled and slow."""

import os
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_shop import SERVICE, category_of, change_rows

from feature_repo.reader import OnlineReader
from feature_repo.stores.description import OnlineStoreError, description_path
from feature_repo.stores.wide_table import open_writer
from serving.model.breaker import Breaker, State
from serving.model.features import GuardedReader, Store

ASKED = ("u1", [f"p{product:03d}" for product in range(40)], [category_of(product) for product in range(40)], 1.7e9)
PAUSE = 2.0


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def path(shop):
    return shop.settings.online_store


@pytest.fixture
def truth(path):
    with closing(OnlineReader(path)) as reader:
        return reader.read(*ASKED)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def reader(path, clock):
    """Two failures open it; a read may take as long as a busy machine needs, a lock is waited for in vain."""
    return guarded(path, clock)


def guarded(path, clock, seconds=0.25):
    names = OnlineReader(path).feature_names
    return GuardedReader(Store(path, SERVICE, seconds, Breaker(2, PAUSE, clock)), names)


def fails(reader):
    with pytest.raises(OnlineStoreError):
        reader.read(*ASKED)
    return reader.store.breaker.state


def recovers(reader, clock, truth):
    """Left alone while the pause lasts, then read again."""
    with pytest.raises(OnlineStoreError, match="left alone"):
        reader.read(*ASKED)
    clock.now += PAUSE
    assert np.array_equal(reader.read(*ASKED), truth, equal_nan=True)
    assert reader.store.breaker.state is State.CLOSED


def locked_wal(path):
    writer = open_writer(path)
    writer.execute("pragma locking_mode = exclusive")
    writer.execute("begin immediate")
    return writer


def locked_rollback(path):
    writer = sqlite3.connect(path, isolation_level=None)
    assert writer.execute("pragma journal_mode = delete").fetchone() == ("delete",)
    writer.execute("begin exclusive")
    return writer


@pytest.mark.parametrize("lock", [locked_wal, locked_rollback])
def test_a_locked_store_opens_the_breaker_and_is_read_again_when_it_is_free(path, clock, truth, lock):
    reader = guarded(path, clock, 0.05)
    with closing(lock(path)):
        assert fails(reader) is State.CLOSED
        assert fails(reader) is State.OPEN
        clock.now += PAUSE
        assert fails(reader) is State.OPEN
        clock.now += PAUSE
    clock.now += PAUSE  # the second pause is twice as long
    assert np.array_equal(reader.read(*ASKED), truth, equal_nan=True)
    assert reader.store.breaker.state is State.CLOSED


def test_an_open_breaker_leaves_the_store_alone(path, reader, monkeypatch):
    monkeypatch.setattr(reader.store.breaker, "allow", lambda: False)
    path.unlink()
    with pytest.raises(OnlineStoreError, match="left alone"):
        reader.read(*ASKED)
    assert reader.store.breaker.state is State.CLOSED


def test_a_deleted_store_is_noticed_although_it_is_still_open(path, reader, clock, truth, tmp_path):
    reader.read(*ASKED)
    path.rename(tmp_path / "away.db")
    fails(reader)
    assert fails(reader) is State.OPEN
    (tmp_path / "away.db").rename(path)
    recovers(reader, clock, truth)


def test_a_store_in_its_place_is_read_at_once(path, reader, tmp_path):
    names = reader.feature_names
    column = next(position for position, name in enumerate(names) if name.startswith("product__"))
    before = reader.read(*ASKED)
    other = tmp_path / "other.db"
    shutil.copy(path, other)
    changed = {names[column].partition("__")[2]: 4711}
    change_rows(other, "product", lambda table, row: table.layout.pack(changed, table.layout.unpack(row)[0]))
    other.replace(path)
    after = reader.read(*ASKED)
    assert (after[:, column] == 4711).all()
    assert not (before[:, column] == 4711).any()


def test_a_store_without_its_description_is_read_again_when_it_is_back(path, reader, clock, truth):
    description = description_path(path)
    kept = description.read_bytes()
    description.write_text("{")
    fails(reader)
    description.unlink()
    assert fails(reader) is State.OPEN
    description.write_bytes(kept)
    recovers(reader, clock, truth)


def test_a_store_that_was_made_anew_in_the_same_file_is_read_after_one_failure(path, reader, truth):
    reader.read(*ASKED)
    with closing(open_writer(path)) as writer:
        writer.execute("alter table wide_product rename to wide_product_2")
    description = description_path(path)
    description.write_text(description.read_text().replace('"wide_product"', '"wide_product_2"'))
    with pytest.raises(OnlineStoreError, match="no such table"):
        reader.read(*ASKED)
    assert np.array_equal(reader.read(*ASKED), truth, equal_nan=True)


def test_features_that_the_store_lost_are_missing_and_named_and_the_others_are_right(path, reader, truth, caplog):
    first, *others = reader.feature_names
    other = GuardedReader(reader.store, [first, "product__gone", *others])
    read = other.read(*ASKED)
    assert np.isnan(read[:, 1]).all()
    assert np.array_equal(np.delete(read, 1, axis=1), truth, equal_nan=True)
    assert (other.lacking, reader.lacking) == (True, False)
    assert "product__gone" in caplog.text


def test_a_key_that_the_store_wants_and_nobody_names_is_unknown(path, reader, truth):
    customer, products, _, now = ASKED
    keys = {"customer_id": [customer] * len(products), "product_id": products}
    read = reader.read_keys(keys, now)
    whole = reader.read_keys({**keys, "category_id": [None] * len(products)}, now)
    assert np.array_equal(read, whole, equal_nan=True)


def test_features_come_in_the_order_they_were_asked_for(path, reader, truth):
    turned = GuardedReader(reader.store, reader.feature_names[::-1][:5])
    assert np.array_equal(turned.read(*ASKED), truth[:, ::-1][:, :5], equal_nan=True)


def test_a_read_without_end_is_given_up(path, clock):
    with closing(open_writer(path)) as writer:
        writer.execute("alter table wide_product rename to kept")
        writer.execute(
            "create view wide_product as with recursive n(i) as (select 1 union all select i + 1 from n) "
            "select kept.* from kept where (select max(i) from n) > 0"
        )
    reader = guarded(path, clock, 0.05)
    with pytest.raises(OnlineStoreError, match="interrupted"):
        reader.read(*ASKED)
    assert fails(reader) is State.OPEN


def test_a_lock_is_waited_for_as_long_as_a_read_may_take(path, clock, truth):
    reader = guarded(path, clock, 5.0)
    assert np.array_equal(reader.read(*ASKED), truth, equal_nan=True)
    connection, _ = reader._opened.reader._connection()
    assert connection.execute("pragma busy_timeout").fetchone() == (5000,)


def test_a_read_that_ends_too_late_is_of_use_and_counts_as_a_failure(path, clock, truth):
    reader = guarded(path, clock, 1e-9)
    few = (ASKED[0], ASKED[1][:3], ASKED[2][:3], ASKED[3])
    for state in (State.CLOSED, State.OPEN):
        assert np.array_equal(reader.read(*few), truth[:3], equal_nan=True)
        assert reader.store.breaker.state is state


def test_a_connection_that_gave_up_ends_its_transaction_and_reads_on(path, truth, monkeypatch):
    monkeypatch.setattr("feature_repo.reader.STEPS", 1)  # looks at the clock in whatever it does
    with closing(OnlineReader(path, patience=1e-9)) as reader:
        for _ in range(3):
            with pytest.raises(OnlineStoreError, match="interrupted"):
                reader.read(*ASKED)
        reader.patience = 60.0
        assert np.array_equal(reader.read(*ASKED), truth, equal_nan=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1))
def test_a_store_cut_off_anywhere_gives_the_truth_or_an_error(path, clock, truth, tmp_path, share):
    cut = tmp_path / "cut" / "online.db"
    shutil.copytree(path.parent, cut.parent, dirs_exist_ok=True)
    os.truncate(cut, int(cut.stat().st_size * share))
    reader = GuardedReader(Store(cut, SERVICE, 5.0), OnlineReader(path).feature_names)
    try:
        assert np.array_equal(reader.read(*ASKED), truth, equal_nan=True)
    except OnlineStoreError:
        assert share < 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.dictionaries(st.floats(0, 1, exclude_max=True), st.integers(0, 255), min_size=1, max_size=30))
def test_a_garbled_store_gives_numbers_or_an_error_and_nothing_else(path, tmp_path, damage):
    garbled = tmp_path / "garbled" / "online.db"
    shutil.copytree(path.parent, garbled.parent, dirs_exist_ok=True)
    content = bytearray(garbled.read_bytes())
    for place, value in damage.items():
        content[int(place * len(content))] = value
    garbled.write_bytes(content)
    reader = GuardedReader(Store(garbled, SERVICE, 5.0), OnlineReader(path).feature_names)
    try:
        values = reader.read(*ASKED)
    except OnlineStoreError:
        return
    assert values.shape == (40, len(reader.feature_names))
    assert values.dtype == np.float64


def test_a_row_that_is_none_is_an_error(path, reader):
    change_rows(path, "product", lambda table, row: row[:8])
    fails(reader)


def test_a_store_that_is_gone_or_kept_failing_is_a_problem_said_without_reading(path, reader, clock, truth, tmp_path):
    assert reader.problem is None
    reader.read(*ASKED)
    assert reader.problem is None
    path.rename(tmp_path / "away.db")
    assert str(path) in reader.problem
    assert "no such file" in reader.problem
    path.write_bytes(b"no database")
    while fails(reader) is State.CLOSED:
        pass
    assert "answers do without features" in reader.problem
    (tmp_path / "away.db").replace(path)
    recovers(reader, clock, truth)
    assert reader.problem is None


def test_a_store_that_is_being_filled_is_not_one_that_knows_nobody(path, reader, truth, tmp_path):
    whole, half = tmp_path / "whole.db", tmp_path / "half.db"
    with closing(sqlite3.connect(path)) as source:
        for copy in (whole, half):
            with closing(sqlite3.connect(copy)) as target:
                source.backup(target)
    with closing(open_writer(half)) as writer:
        (table,) = writer.execute("select min(name) from packed_views").fetchone()
        writer.execute(f'delete from "{table}"')
        writer.execute("update packed_views set watermark = null where name = ?", [table])
    half.replace(path)
    reader.read(*ASKED)
    assert reader.lacking
    assert f"{table} is being filled" in reader.problem
    whole.replace(path)
    assert np.array_equal(reader.read(*ASKED), truth, equal_nan=True)
    assert not reader.lacking
    assert reader.problem is None
