"""Features when the online store answers, and a quick refusal when it does not.

Scoring runs on the event loop: who waits for the store, waits for everybody. So a read is given up after a
while, and a store that keeps failing is left alone but for one attempt now and then (`serving.model.breaker`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from feature_repo.known import columns_by_key
from feature_repo.reader import open_reader
from feature_repo.stores.description import OnlineStoreError
from feature_repo.vectors import FeatureReader, Keys
from serving.model.breaker import Breaker, State

logger = logging.getLogger("serving.model.features")

Values = NDArray[np.float64]


class Reader(Protocol):
    """Reads the features of one customer and many products, see `feature_repo.vectors.FeatureReader`."""

    @property
    def feature_names(self) -> Sequence[str]:
        """Names of the columns that `read` returns."""

    @property
    def lacking(self) -> bool:
        """Whether some of them are not there, and so missing in every row."""

    @property
    def by_key(self) -> Mapping[str, Sequence[int]]:
        """The columns that are looked up by each key, as `feature_repo.known` has them."""

    def read(self, customer_id: str, product_ids: Sequence[str], category_ids: Sequence[str], now: float) -> Values:
        """Features [n, F], NaN where missing."""

    def read_keys(self, keys: Mapping[str, Keys], now: float) -> Values:
        """Features [n, F] of rows given by their join keys."""


@dataclass(frozen=True, slots=True)
class Store:
    """An online store as one feature service sees it: its address, how long a read may take, and its breaker."""

    address: Path | str
    service: str
    timeout_seconds: float = 0.05
    breaker: Breaker = field(default_factory=Breaker)


class _Opened(NamedTuple):
    """A reader, and where in its columns the wanted ones are (None: they are these; -1: it does not have it).

    `unfilled`: tables that hold nothing yet; the store is opened anew until there are none.
    """

    reader: FeatureReader
    columns: list[int] | None
    unfilled: tuple[str, ...]


class GuardedReader:
    """Reads the named features within the store's time, or refuses at once while its breaker is open.

    It opens the store when it first reads and anew after a failure, or when another one has taken its place:
    whatever was wrong, it recovers by itself. Thread-safe.
    """

    def __init__(self, store: Store, feature_names: Sequence[str]) -> None:
        self.store = store
        self.feature_names = list(feature_names)
        self._opened: _Opened | None = None
        self.by_key: Mapping[str, Sequence[int]] = {}
        self._error = ""

    def read(self, customer_id: str, product_ids: Sequence[str], category_ids: Sequence[str], now: float) -> Values:
        """Features [n, F] of one customer and many products, see `read_keys`."""
        return self._guarded(lambda reader: reader.read(customer_id, product_ids, category_ids, now))

    def read_keys(self, keys: Mapping[str, Keys], now: float) -> Values:
        """Features [n, F] in the order of `feature_names`.

        A read that came to its end too late is of use all the same, and counts as a failure.

        Raises:
            OnlineStoreError: when they cannot be read, or the breaker is open.
        """
        return self._guarded(lambda reader: reader.read_keys(_complete(keys, reader.keys), now))

    def _guarded(self, read: Callable[[FeatureReader], Values]) -> Values:
        breaker = self.store.breaker
        if not breaker.allow():
            raise OnlineStoreError(f"{self.store.address} has kept failing and is left alone for a while")
        began = time.perf_counter()
        try:
            opened = self._open()
            values = read(opened.reader)
        except Exception as error:  # whatever a store does, the answer can do without
            self.close()
            self._failed(error, time.perf_counter() - began)
            raise OnlineStoreError(f"{self.store.address} cannot be read: {error}") from error
        seconds = time.perf_counter() - began
        if seconds > self.store.timeout_seconds:
            self._failed(None, seconds)
        else:
            if breaker.state is not State.CLOSED:
                logger.warning("features are read from %s again", self.store.address)
            breaker.succeeded()
        if opened.columns is None:
            return values
        nothing = np.full((len(values), 1), np.nan)
        return np.concatenate([values, nothing], axis=1)[:, opened.columns]

    @property
    def lacking(self) -> bool:
        """Whether the store does not have some of the features, or not yet: they are missing in what is read."""
        opened = self._opened
        return opened is not None and bool(opened.unfilled or -1 in (opened.columns or ()))

    @property
    def problem(self) -> str | None:
        """Why answers have to do without features, as far as it is known without reading; None: they need not."""
        address, opened = self.store.address, self._opened
        if isinstance(address, Path) and not address.exists():
            why = "there is no such file: materialize the online store"
        elif self.store.breaker.state is not State.CLOSED:
            why = self._error
        elif opened and opened.unfilled:
            why = f"{', '.join(opened.unfilled)} is being filled: materialize the online store, if nothing does"
        elif self.lacking:
            why = "it lacks features of the version: train one that fits"
        else:
            return None
        return f"answers do without features, {address}: {why}"

    def close(self) -> None:
        """Let the store go; a later read opens it again."""
        opened, self._opened = self._opened, None
        if opened:
            opened.reader.close()

    def _failed(self, error: Exception | None, seconds: float) -> None:
        """Count and tell; while the breaker is open there is nothing to tell."""
        breaker = self.store.breaker
        breaker.failed()
        self._error = str(error or f"too slow: {seconds * 1e3:.0f} ms")
        unknown = error is not None and not isinstance(error, OnlineStoreError | OSError)
        text = "reading features failed after %.0f ms (%s), breaker %s"
        logger.warning(text, seconds * 1e3, error or "too slow", breaker.state, exc_info=unknown)

    def _open(self) -> _Opened:
        """The store as it lies there now."""
        opened = self._opened
        if opened is None or opened.unfilled or not opened.reader.current():
            self.close()
            reader = open_reader(self.store.address, self.store.service, patience=self.store.timeout_seconds)
            columns = self._columns(reader.feature_names)
            opened = self._opened = _Opened(reader, columns, reader.unfilled())
            self.by_key = columns_by_key(self.feature_names, reader.views)
        return opened

    def _columns(self, read: list[str]) -> list[int] | None:
        if read == self.feature_names:
            return None
        missing = [name for name in self.feature_names if name not in read]
        if missing:
            logger.error(
                "%s has no features %s (%d in all): answers do without and say so; train a version that fits",
                self.store.address, ", ".join(missing[:5]), len(missing),
            )  # fmt: skip
        return [read.index(name) if name in read else -1 for name in self.feature_names]


def _complete(keys: Mapping[str, Keys], wanted: Sequence[str]) -> Mapping[str, Keys]:
    """The keys, unknown (None) where the store wants one that the version's requests do not name."""
    missing = [name for name in wanted if name not in keys]
    rows = len(next(iter(keys.values()), ()))
    return {**keys, **{name: [None] * rows for name in missing}} if missing else keys
