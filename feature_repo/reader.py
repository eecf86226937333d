"""The model server's way to features: one SQL statement per view, then numpy; no Feast, no pandas."""

from __future__ import annotations

import json
import math
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from feature_repo import transforms
from feature_repo.description import OnlineStoreError, ViewColumns, description_path, read_description
from feature_repo.stores.wide_table import EVENT, open_reader, quote
from feature_repo.transforms import FloatArray

Keys = Sequence[str | None]

LOCKED = 60.0
"""Seconds a read without a limit of its own waits for a lock."""
STEPS = 10_000
"""Steps of sqlite's machine between two looks at the clock: well below a millisecond."""


class Deadline:
    """When a connection is to give up (`time.monotonic`)."""

    def __init__(self) -> None:
        self.at = math.inf

    def passed(self) -> bool:
        """Whether it is now."""
        return time.monotonic() > self.at


class OnlineReader:
    """Reads a feature service's vectors for one moment from the online store's file.

    Thread-safe: every thread has a read-only connection of its own. A reader sees what is committed when it
    reads, all views as of the same commit.
    """

    def __init__(self, path: Path, service: str = "product_recommender", *, patience: float | None = None) -> None:
        """Open the online store at `path`; `service.json` beside it says what to read.

        With `patience`, a read is given up after so many seconds, whether it waits for a lock or works; only
        a disk that does not return a page can hold it longer.

        Raises:
            OnlineStoreError: when the store or the service is not there.
        """
        self._path, self._patience = Path(path), patience
        if not self._path.exists():
            raise OnlineStoreError(f"no online store at {path}: materialize it first")
        self._service = read_description(description_path(self._path), service)
        self._sql = {view.view: _select(view) for view in self._service.views}
        self._derives = any(name.startswith("derived__") for name in self._service.features)
        self._local = threading.local()

    @property
    def feature_names(self) -> list[str]:
        """Names `<view>__<feature>` of the columns that `read` returns, in order."""
        return list(self._service.features)

    def read(self, customer_id: str | None, product_ids: Keys, category_ids: Keys, now: float) -> FloatArray:
        """Features of one customer (None: nobody known) and n products at `now` (unix seconds).

        Returns float64 [n, F] in the order of `feature_names`; NaN where a value is missing or expired.
        """
        return self.read_many([customer_id] * len(product_ids), product_ids, category_ids, now)

    def read_many(
        self, customer_ids: Keys, product_ids: Keys, category_ids: Keys, now: float | FloatArray
    ) -> FloatArray:
        """Features of n aligned (customer, product, category) rows; `now` is one moment or one per row.

        Raises:
            OnlineStoreError: when the file cannot be read, took too long, or no longer has the columns this
                reader was made for.
            ValueError: when the sequences differ in length.
        """
        keys = {"customer_id": customer_ids, "product_id": product_ids, "category_id": category_ids}
        if len({len(values) for values in keys.values()}) != 1:
            raise ValueError(f"keys differ in length: { {name: len(values) for name, values in keys.items()} }")
        moments = np.broadcast_to(np.asarray(now, dtype=np.float64), len(product_ids))
        columns: dict[str, FloatArray] = {transforms.NOW: moments}
        with self._snapshot() as connection:
            for view in self._service.views:
                rows = list(zip(*(keys[key] for key in view.table.keys), strict=True))
                values = self._read_view(connection, view, rows, moments)
                for position, name in enumerate(view.columns):
                    columns[f"{view.view}__{name}"] = values[:, position]
        if self._derives:
            columns.update({f"derived__{name}": value for name, value in transforms.derive(columns).items()})
        out = np.empty((len(product_ids), len(self._service.features)))
        for position, name in enumerate(self._service.features):
            out[:, position] = columns[name]
        return out

    def close(self) -> None:
        """Close this thread's connection (a later read opens one again); else it stays until it is collected."""
        opened: tuple[sqlite3.Connection, Deadline] | None = self._local.__dict__.pop("opened", None)
        if opened:
            opened[0].close()

    def _read_view(
        self,
        connection: sqlite3.Connection,
        view: ViewColumns,
        keys: list[tuple[str | None, ...]],
        moments: FloatArray,
    ) -> FloatArray:
        """The view's columns for each row; rows of one key are read once."""
        width = len(view.table.keys)
        rows: list[tuple[object, ...]] = []
        try:
            for leading, last in _grouped(keys).items():
                rows += connection.execute(self._sql[view.view], [*leading, json.dumps(last)]).fetchall()
        except sqlite3.Error as error:
            changed = "; its definition changed: materialize the online store and open a new reader"
            raise OnlineStoreError(
                f"{self._path}: cannot read view {view.view} ({error}){changed if 'no such' in str(error) else ''}"
            ) from error
        found = {row[:width]: position for position, row in enumerate(rows)}
        values = np.full((len(rows) + 1, 1 + len(view.columns)), np.nan)
        if rows:
            values[:-1] = np.array([row[width:] for row in rows], dtype=np.float64)
        picked = values[[found.get(key, len(rows)) for key in keys]]
        if view.table.ttl_seconds:
            expired = moments - picked[:, 0] / 1e6 > view.table.ttl_seconds
            picked[expired] = np.nan
        return picked[:, 1:]

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """A transaction: its statements see one commit, wait for a lock once, and share one deadline."""
        connection, deadline = self._connection()
        connection.execute("begin")
        deadline.at = time.monotonic() + (self._patience or math.inf)
        try:
            yield connection
        finally:
            deadline.at = math.inf  # the end must not be given up
            connection.rollback()

    def _connection(self) -> tuple[sqlite3.Connection, Deadline]:
        opened: tuple[sqlite3.Connection, Deadline] | None = getattr(self._local, "opened", None)
        if opened is None:
            opened = open_reader(self._path, self._patience or LOCKED), Deadline()
            if self._patience:
                opened[0].set_progress_handler(opened[1].passed, STEPS)
            self._local.opened = opened
        return opened


def _grouped(keys: list[tuple[str | None, ...]]) -> dict[tuple[str | None, ...], list[str | None]]:
    """Distinct last key parts by the parts before them: one statement per customer, or one in all."""
    groups: dict[tuple[str | None, ...], dict[str | None, None]] = {}
    for key in keys:
        if None not in key:
            groups.setdefault(key[:-1], {})[key[-1]] = None
    return {leading: list(last) for leading, last in groups.items()}


def _select(view: ViewColumns) -> str:
    """SQL with one parameter per key; the last is a JSON list, so that one statement fits any number."""
    *leading, last = view.table.keys
    columns = ", ".join(quote(name) for name in (*view.table.keys, EVENT, *view.columns))
    where = "".join(f"{quote(key)} = ? and " for key in leading)
    return (
        f"select {columns} from {quote(view.table.table)} "
        f"where {where}{quote(last)} in (select value from json_each(?))"
    )
