"""The model server's way to features in Redis: one command for all rows of a request."""

from __future__ import annotations

from feature_repo.stores import wide_redis_rows as rows
from feature_repo.stores.description import OnlineStoreError, parse_description
from feature_repo.stores.packed import WideTable
from feature_repo.vectors import Asked, FeatureReader, Rows


class RedisReader(FeatureReader):
    """Reads from `redis://host:port/db`; see `WideRedisOnlineStore` for what writes there.

    A reader sees all views as of one moment.
    """

    def __init__(self, address: str, service: str, *, patience: float | None = None) -> None:
        """Open the online store at `address`, whose description of the services says what to read.

        With `patience`, an answer is waited for so many seconds at most.

        Raises:
            OnlineStoreError: when there is no Redis or no such service in it.
        """
        self._address = address
        with rows.told(address):
            self._client = rows.connect(address, patience)
            text = self._client.get(rows.DESCRIPTION)
        super().__init__(parse_description(text, service, f"{address} {rows.DESCRIPTION}"))
        self._names = [view.table.table for view in self._service.views]
        self._seen: rows.Seen | None = None

    def current(self) -> bool:
        """Always: an address stays the same."""
        return True

    def unfilled(self) -> tuple[str, ...]:
        """Tables without progress, and without a row that was pushed."""
        with rows.told(self._address):
            asked = self._client.pipeline(transaction=False)
            for name in self._names:
                asked.exists(f"{name}:progress", f"{name}:pushed")
            there = asked.execute()
        return tuple(dict.fromkeys(name for name, kept in zip(self._names, there, strict=True) if not kept))

    def close(self) -> None:
        """Close the connections; a later read opens one again."""
        self._client.close()

    def _fetch(self, asked: list[Asked]) -> tuple[tuple[WideTable, ...], list[Rows]]:
        wanted = []
        for view, leading, last in asked:
            first = rows.suffix(leading, "")
            wanted.append((view, [first + key for key in last] if first else last))
        with rows.told(self._address):
            seen, found = rows.fetch(self._client, self._names, self._seen, wanted)
        tables = tuple(table for table in seen.tables if table is not None)
        if len(tables) != len(seen.tables):
            raise OnlineStoreError(f"{self._address}: no such table; materialize the online store")
        self._seen = seen
        return tables, found
