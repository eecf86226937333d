"""Features when the online store answers, and a quick refusal when it does not.

Scoring runs on the event loop: who waits for the store, waits for everybody. So a read is given up after a
while, and a store that keeps failing is left alone but for one attempt now and then (`serving.breaker`).
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

from feature_repo.description import OnlineStoreError
from feature_repo.reader import open_reader
from feature_repo.vectors import FeatureReader, Keys
from serving.breaker import Breaker, State

logger = logging.getLogger("serving.features")

Values = NDArray[np.float64]


class Reader(Protocol):
    """Reads the features of one customer and many products, see `feature_repo.vectors.FeatureReader`."""

    @property
    def feature_names(self) -> Sequence[str]:
        """Names of the columns that `read` returns."""

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
    """A reader, and where in its columns the wanted ones are (None: they are these)."""

    reader: FeatureReader
    columns: list[int] | None


class GuardedReader:
    """Reads the named features within the store's time, or refuses at once while its breaker is open.

    It opens the store when it first reads and anew after a failure, or when another one has taken its place:
    whatever was wrong, it recovers by itself. Thread-safe.
    """

    def __init__(self, store: Store, feature_names: Sequence[str]) -> None:
        self.store = store
        self.feature_names = list(feature_names)
        self._opened: _Opened | None = None

    def read(self, customer_id: str, product_ids: Sequence[str], category_ids: Sequence[str], now: float) -> Values:
        """Features [n, F] of one customer and many products, see `read_keys`."""
        return self._guarded(lambda reader: reader.read(customer_id, product_ids, category_ids, now))

    def read_keys(self, keys: Mapping[str, Keys], now: float) -> Values:
        """Features [n, F] in the order of `feature_names`.

        A read that came to its end too late is of use all the same, and counts as a failure.

        Raises:
            OnlineStoreError: when they cannot be read, or the breaker is open.
        """
        return self._guarded(lambda reader: reader.read_keys(keys, now))

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
        return values if opened.columns is None else values[:, opened.columns]

    def close(self) -> None:
        """Let the store go; a later read opens it again."""
        opened, self._opened = self._opened, None
        if opened:
            opened.reader.close()

    def _failed(self, error: Exception | None, seconds: float) -> None:
        """Count and tell; while the breaker is open there is nothing to tell."""
        breaker = self.store.breaker
        breaker.failed()
        unknown = error is not None and not isinstance(error, OnlineStoreError | OSError)
        text = "reading features failed after %.0f ms (%s), breaker %s"
        logger.warning(text, seconds * 1e3, error or "too slow", breaker.state, exc_info=unknown)

    def _open(self) -> _Opened:
        """The store as it lies there now."""
        opened = self._opened
        if opened is None or not opened.reader.current():
            self.close()
            reader = open_reader(self.store.address, self.store.service, patience=self.store.timeout_seconds)
            opened = self._opened = _Opened(reader, self._columns(reader.feature_names))
        return opened

    def _columns(self, read: list[str]) -> list[int] | None:
        if read == self.feature_names:
            return None
        missing = [name for name in self.feature_names if name not in read]
        if missing:
            raise OnlineStoreError(
                f"{self.store.address} has no features {', '.join(missing[:5])}: deploy a model that fits"
            )
        return [read.index(name) for name in self.feature_names]
