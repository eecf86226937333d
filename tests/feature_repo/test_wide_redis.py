"""What only the Redis store can get wrong: rebuilds that die or overlap, servers that hang, passwords."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from dataclasses import replace

import pytest
import redis
from online_contents import table_contents
from online_stores import PRODUCTS, Small, small_store, versions
from redis_server import running_redis

from feature_repo.reader import open_reader
from feature_repo.stores.description import OnlineStoreError
from feature_repo.stores.packing import pack_table
from feature_repo.stores.wide import Progress
from feature_repo.stores.wide_redis_rows import STALE


@pytest.fixture
def small(empty_redis, tmp_path) -> Small:
    return small_store("redis", tmp_path, empty_redis)


@pytest.fixture
def client(empty_redis):
    with redis.Redis.from_url(empty_redis) as client:
        yield client


def progress() -> Progress:
    return Progress(1, 0, "", b"")


def read(small: Small) -> list[int]:
    return [values["version"] for _, values in table_contents(small.address, PRODUCTS).values()]


def rebuild(small: Small, version: int, products: int, meanwhile) -> None:
    """Write all rows; `meanwhile` is called when they are written and not yet served."""

    def parts():
        yield from pack_table(PRODUCTS, versions(version, products), "at")
        meanwhile()

    with small.store.exclusive(small.config):
        small.store.rebuild(small.config, PRODUCTS, parts(), progress)


def test_rows_pushed_during_a_rebuild_are_in_what_it_serves(small):
    small.write("rebuild", PRODUCTS, versions(1, 2))

    def meanwhile() -> None:
        small.write("push", PRODUCTS, versions(5, 1))
        assert read(small) == [5, 1]

    rebuild(small, 3, 4, meanwhile)
    assert read(small) == [5, 3, 3, 3]
    small.write("rebuild", PRODUCTS, versions(4, 3))
    assert read(small) == [5, 4, 4]


def test_what_a_killed_rebuild_left_is_never_served_and_tidied_away(small, client):
    small.write("rebuild", PRODUCTS, versions(1, 300))
    before = len(client.keys())

    def killed() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(small, 2, 300, killed)
    assert read(small) == [1] * 300
    assert client.scard(STALE) == 1
    assert len(client.keys()) > before + 300
    small.store.tidy(small.config)
    assert read(small) == [1] * 300
    assert len(client.keys()) == before


def test_the_generation_before_is_tidied_away(small, client):
    small.write("rebuild", PRODUCTS, versions(1, 300))
    before = len(client.keys())
    small.write("rebuild", PRODUCTS, versions(2, 300))
    small.store.tidy(small.config)
    assert len(client.keys()) == before
    assert read(small) == [2] * 300


def test_a_materialization_that_lost_its_lock_serves_nothing(small, client, tmp_path):
    small.write("rebuild", PRODUCTS, versions(1, 2))
    other = small_store("redis", tmp_path, small.address)

    def overtaken() -> None:
        client.delete("p:lock")  # as when it had taken longer than the lock lasts
        other.write("rebuild", PRODUCTS, versions(3, 2))

    with pytest.raises(OnlineStoreError, match="another materialization has taken over"):
        rebuild(small, 2, 2, overtaken)
    assert read(small) == [3, 3]


def test_rows_with_a_ttl_are_forgotten_some_time_and_others_never(small, client):
    small.write("push", PRODUCTS, versions(1, 1))
    (name,) = client.keys("p__product:1:*")
    assert client.ttl(name) == -1
    small.write("push", replace(PRODUCTS, ttl_seconds=1000), versions(2, 1))
    assert 1000 < client.ttl(name) <= 2000


def test_the_password_comes_from_the_settings_and_is_never_shown(tmp_path, monkeypatch):
    with running_redis(tmp_path, password="seecret") as address:
        monkeypatch.setenv("ML_ASSETS_REDIS_PASSWORD", "seecret")
        small = small_store("redis", tmp_path, address)
        small.write("push", PRODUCTS, versions(1, 1))
        small.describe()
        assert "seecret" not in repr(small.config)
        reader = open_reader(address, "service")
        assert "seecret" not in str(vars(reader)["_address"])
        monkeypatch.setenv("ML_ASSETS_REDIS_PASSWORD", "seecrets")
        with pytest.raises(OnlineStoreError) as refused:
            open_reader(address, "service")
    assert "seecret" not in str(refused.value)
    assert address in str(refused.value)


def test_a_server_that_hangs_is_waited_for_as_long_as_a_read_may_take(tmp_path):
    with running_redis(tmp_path) as address:
        small_store("redis", tmp_path, address).ready().write("push", PRODUCTS, versions(1, 1))
        with closing(open_reader(address, "service", patience=0.2)) as reader:
            process = redis.Redis.from_url(address).info("server")["process_id"]
            os.kill(process, signal.SIGSTOP)
            try:
                with pytest.raises(OnlineStoreError, match="cannot be read or written"):
                    reader.read("c", ["p0"], [None], 0.0)
            finally:
                os.kill(process, signal.SIGCONT)
            assert reader.read("c", ["p0"], [None], 0.0)[0, 2] == 1


def test_no_server_is_an_error_that_names_the_address(tmp_path):
    with running_redis(tmp_path) as address:
        pass
    with pytest.raises(OnlineStoreError, match=address):
        open_reader(address, "service")
