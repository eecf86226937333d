"""A Feast online store of packed rows in Redis: for many servers, or more traffic than one file answers.

    online_store:
      type: feature_repo.stores.wide_redis.WideRedisOnlineStore
      path: redis://127.0.0.1:6379/0

The password comes from the settings. How rows lie there: `feature_repo.stores.wide_redis_rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from feast import Entity, FeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from redis.exceptions import LockError

from feature_repo.stores import wide_redis_rows as redis_rows
from feature_repo.stores.packed import WideTable
from feature_repo.stores.packing import Packed
from feature_repo.stores.wide import Keys, Progress, WideOnlineStore

PATIENCE = 60.0
"""Seconds a writer waits for an answer."""
HELD = 600.0
"""Seconds after which a materialization that was killed no longer keeps others waiting."""
ROWS = 256
"""Rows of one script call: Redis answers nobody else meanwhile, about half a millisecond."""
CALLS = 16
"""Script calls sent at once."""


class WideRedisOnlineStoreConfig(FeastConfigBaseModel):
    """Configuration of `WideRedisOnlineStore`."""

    type: str = "feature_repo.stores.wide_redis.WideRedisOnlineStore"
    """Class of the store."""
    path: str = "redis://127.0.0.1:6379/0"
    """Address of the database, which belongs to one deployment; without a password."""


class WideRedisOnlineStore(WideOnlineStore):
    """The packed rows in a Redis database.

    A pushed row and a batch of an incremental run are visible at once, a rebuilt view as a whole. Rows of a view
    with a ttl are forgotten after twice the ttl; whether they count is decided when they are read.
    """

    def __init__(self) -> None:
        self._client: Any = None
        self._lock: Any = None

    def address(self, config: RepoConfig) -> str:
        """The address of the database."""
        return str(config.online_store.path)

    def define(self, config: RepoConfig, kept: Sequence[WideTable], dropped: Sequence[str]) -> None:
        """Begin the tables of new views, drop those of removed ones."""
        with self._connected(config) as client:
            for wide in kept:
                if not client.exists(f"{wide.table}:generation"):
                    self._send(client, wide, "push", [Packed([], [], [])])
            for table in dropped:
                _sweep(client, [f"{table}:"])

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Drop the views' tables; the description goes with the last one."""
        with self._connected(config) as client:
            for view in tables:
                _sweep(client, [f"{config.project}__{view.name}:"])
            if next(client.scan_iter(match="*:generation", count=1000), None) is None:
                client.delete(redis_rows.DESCRIPTION)

    @contextmanager
    def exclusive(self, config: RepoConfig) -> Iterator[None]:
        """A lock in the database; who lost it, having taken too long, can write nothing that is served."""
        with self._connected(config) as client:
            self._lock = client.lock(f"{config.project}:lock", timeout=HELD, thread_local=False)
            self._lock.acquire()
        try:
            yield
        finally:
            with self._connected(config), suppress(LockError):  # one that ended by itself is somebody else's now
                self._lock.release()

    def progress(self, config: RepoConfig, table: WideTable) -> Progress | None:
        """Up to when the table is materialized; None when it never was, or holds rows of another form."""
        with self._connected(config) as client:
            generation = client.get(f"{table.table}:generation") or b""
            known = {name.decode(): value for name, value in client.hgetall(f"{table.table}:progress").items()}
        if not known or not generation.endswith(f"-{table.form}".encode()):
            return None
        moments = int(known["watermark"]), int(known["boundary"])
        return Progress(*moments, known["fingerprint"].decode(), known["recent"])

    def advance(
        self, config: RepoConfig, table: WideTable, parts: Iterable[Packed], progress: Callable[[], Progress]
    ) -> int:
        """Add rows of the offline store, then note the progress: killed in between, a run repeats it."""
        with self._connected(config) as client:
            given = self._send(client, table, "advance", parts)
            self._note(client, table, "stay", progress())
        return given

    def rebuild(
        self, config: RepoConfig, table: WideTable, parts: Iterable[Packed], progress: Callable[[], Progress]
    ) -> int:
        """Write the next generation aside, then swap it in."""
        with self._connected(config) as client:
            client.eval(redis_rows.BEGIN, 1, table.table, table.form, table.to_json())
            given = self._send(client, table, "build", parts)
            carry, life = client.register_script(redis_rows.CARRY), _life(table)
            for keys in _some(list(client.sscan_iter(f"{table.table}:pushed", count=1000)), ROWS):
                carry([table.table], [table.form, life, *keys])
            self._note(client, table, "swap", progress())
        return given

    def tidy(self, config: RepoConfig) -> None:
        """Remove the generations before, and what a killed run left."""
        with self.exclusive(config), self._connected(config) as client:
            stale = [member.decode() for member in client.smembers(redis_rows.STALE)]
            for name, _, number in (each.rpartition(":") for each in stale):
                if (client.get(f"{name}:building") or b"").startswith(f"{number}-".encode()):
                    client.delete(f"{name}:building")
                client.delete(f"{name}:definition:{number}")
            if stale:
                _sweep(client, [f"{each}:" for each in stale])
                client.srem(redis_rows.STALE, *stale)

    def push(self, config: RepoConfig, table: WideTable, parts: Iterable[Packed]) -> None:
        """Write rows that did not come from the offline store."""
        with self._connected(config) as client:
            self._send(client, table, "push", parts)

    def fetch(self, config: RepoConfig, table: str, keys: Keys) -> tuple[WideTable | None, list[bytes | None]]:
        """The table as it stands, and its row of each key."""
        wanted = [(0, [redis_rows.suffix(leading, last) for *leading, last in keys])]
        with self._connected(config) as client:
            seen, found = redis_rows.fetch(client, [table], None, wanted)
        return seen.tables[0], found[0]

    def describe(self, config: RepoConfig, text: str | None = None) -> str | None:
        """The string `feature_services`."""
        with self._connected(config) as client:
            if text is not None:
                client.set(redis_rows.DESCRIPTION, text)
            found = client.get(redis_rows.DESCRIPTION)
        return None if found is None else str(found.decode())

    @contextmanager
    def _connected(self, config: RepoConfig) -> Iterator[Any]:
        with redis_rows.told(self.address(config)):
            if self._client is None:
                self._client = redis_rows.connect(self.address(config), PATIENCE)
            yield self._client

    def _send(self, client: Any, table: WideTable, mode: str, parts: Iterable[Packed]) -> int:
        script, given = client.register_script(redis_rows.WRITE), 0
        options = [mode, table.form, table.to_json(), _life(table)]
        for part in parts:
            if mode != "push":
                self._lock.reacquire()
            keys = [redis_rows.suffix(leading, last) for *leading, last in zip(*part.keys, strict=True)]
            calls = [_alternating(*each) for each in zip(_some(keys, ROWS), _some(part.rows, ROWS), strict=True)]
            for some in _some(calls or [[]], CALLS):
                with client.pipeline(transaction=False) as pipe:
                    for call in some:
                        script([table.table], [*options, *call], client=pipe)
                    pipe.execute()
            given += len(part.rows)
        return given

    def _note(self, client: Any, table: WideTable, then: str, progress: Progress) -> None:
        fields = [word for field in asdict(progress).items() for word in field]
        token = self._lock.local.token
        client.eval(redis_rows.NOTE, 2, table.table, self._lock.name, token, then, *fields)


def _some(items: list[Any], size: int) -> list[list[Any]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


def _alternating(keys: list[str], rows: list[bytes]) -> list[str | bytes]:
    return [word for pair in zip(keys, rows, strict=True) for word in pair]


def _life(table: WideTable) -> int:
    return round(2 * table.ttl_seconds * 1000)


def _sweep(client: Any, beginnings: list[str]) -> None:
    """Remove all keys that begin so, a few at a time: others are answered in between."""
    sweep, cursor = client.register_script(redis_rows.SWEEP), b"0"
    while True:
        cursor = sweep([], [cursor, *beginnings])
        if cursor == b"0":
            return
