"""Everything an online store holds, whichever it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import redis

from feature_repo.materialization import online_store
from feature_repo.stores.packed import WideTable
from feature_repo.stores.wide import table_of

Contents = dict[tuple[str, ...], tuple[int, dict[str, Any]]]


def contents(store) -> dict[str, Contents]:
    """By view: event time (unix microseconds) and features of every key, in the keys' order."""
    address = online_store(store).address(store.config)
    tables = {view.name: table_of(store.config, view) for view in store.list_feature_views()}
    return {name: table_contents(address, table) for name, table in tables.items()}


def table_contents(address: Path | str, table: WideTable) -> Contents:
    """Event time and features of every key of a table."""
    packed = _of_file(address, table) if isinstance(address, Path) else _of_redis(address, table)
    return {key: table.layout.unpack(row) for key, row in sorted(packed)}


def _of_file(path: Path, table: WideTable) -> list[tuple[tuple[str, ...], bytes]]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"select * from {table.table}").fetchall()
    return [(row[: len(table.keys)], row[-1]) for row in rows]


def _of_redis(address: str, table: WideTable) -> list[tuple[tuple[str, ...], bytes]]:
    with redis.Redis.from_url(address) as client:
        number = (client.get(f"{table.table}:generation") or b"").partition(b"-")[0].decode()
        prefix = f"{table.table}:{number}:"
        names = [name.decode() for name in client.scan_iter(match=f"{prefix}*", count=1000)]
        return [(_key(name.removeprefix(prefix), len(table.keys)), client.get(name)) for name in names]


def _key(suffix: str, parts: int) -> tuple[str, ...]:
    if parts == 1:
        return (suffix,)
    length, _, rest = suffix.partition(":")
    return (rest[: int(length)], *_key(rest[int(length) + 1 :], parts - 1))
