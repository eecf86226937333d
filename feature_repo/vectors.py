"""From packed rows to feature vectors: what readers of every online store share; numpy only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.derived import PREFIX, derive
from feature_repo.stores.description import OnlineStoreError, ServiceDescription, ViewColumns
from feature_repo.stores.packed import WideTable
from feature_repo.transforms import INPUTS, FloatArray

Keys = Sequence[str | None]
Rows = list[bytes | None]


Index = slice | int | NDArray[np.intp]
"""Which of the rows found belongs to each row asked for; the last one found is always nothing."""


class Asked(NamedTuple):
    """Rows wanted of a view: those whose key is `leading` and one of `last`, all distinct."""

    view: int
    leading: tuple[str, ...]
    last: list[str]


@dataclass(frozen=True)
class Plan:
    """Where each value stands when the views' columns lie one below the other, given the tables as they are."""

    starts: tuple[int, ...]
    height: int
    served_from: NDArray[np.intp]
    served_to: NDArray[np.intp]
    inputs: tuple[tuple[str, int], ...]
    derived_to: tuple[tuple[str, int], ...]


class FeatureReader(ABC):
    """Reads a feature service's vectors for one moment from an online store. Thread-safe."""

    def __init__(self, service: ServiceDescription) -> None:
        self._service = service
        self._planned: tuple[tuple[WideTable, ...], Plan] | None = None

    @property
    def feature_names(self) -> list[str]:
        """Names `<view>__<feature>` of the columns that `read` returns, in order."""
        return list(self._service.features)

    @property
    def keys(self) -> tuple[str, ...]:
        """The join keys that `read_keys` needs."""
        return tuple(dict.fromkeys(key for view in self._service.views for key in view.table.keys))

    @property
    def views(self) -> dict[str, tuple[str, ...]]:
        """The join keys of each view."""
        return {view.view: view.table.keys for view in self._service.views}

    @abstractmethod
    def current(self) -> bool:
        """Whether what was opened is still what lies at the address."""

    def unfilled(self) -> tuple[str, ...]:
        """Tables that were defined and never filled: a row that is not there means nothing yet.

        Raises:
            OnlineStoreError: when they cannot be read.
        """
        return ()

    @abstractmethod
    def close(self) -> None:
        """Let the store go; a later read opens it again."""

    @abstractmethod
    def _fetch(self, asked: list[Asked]) -> tuple[tuple[WideTable, ...], list[Rows]]:
        """The table of every view as it stands, and the rows of each group, all of one moment.

        Raises:
            OnlineStoreError: when they cannot be read.
        """

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
            OnlineStoreError: when the store cannot be read, took too long, or no longer has the columns this
                reader was made for.
            ValueError: when the sequences differ in length.
        """
        keys = {"customer_id": customer_ids, "product_id": product_ids, "category_id": category_ids}
        return self.read_keys(keys, now)

    def read_keys(self, keys: Mapping[str, Keys], now: float | FloatArray) -> FloatArray:
        """Features of n rows given by their join keys, aligned; else as `read_many`.

        Raises:
            KeyError: when a join key of the service's views is not among them.
        """
        lengths = {name: len(values) for name, values in keys.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"keys differ in length: {lengths}")
        asked, indexes = _asked([[keys[key] for key in view.table.keys] for view in self._service.views])
        tables, found = self._fetch(asked)
        rows: list[Rows] = [[] for _ in tables]
        for group, part in zip(asked, found, strict=True):
            rows[group.view] += part
        moments = np.full(next(iter(lengths.values())), now, dtype=np.float64)
        plan = self._plan(tables)
        columns = np.empty((plan.height, len(moments)))
        for place, (start, index) in enumerate(zip(plan.starts, indexes, strict=True)):
            self._fill(columns[start:], place, tables[place], [*rows[place], None], index)
            ttl = self._service.views[place].table.ttl_seconds
            if ttl:
                end = start + 1 + len(tables[place].layout.numbers)
                columns[start:end, moments - columns[start] / 1e6 > ttl] = np.nan
        return self._assembled(columns, plan, moments)

    def _fill(self, columns: FloatArray, place: int, table: WideTable, rows: Rows, index: Index) -> None:
        """Write a view's columns, event time first, then its numbers."""
        view, layout = self._service.views[place], table.layout
        try:
            whole, floats = layout.numbers_of(rows)
        except (TypeError, ValueError) as error:
            raise OnlineStoreError(f"view {view.view} holds what is no row ({error}): materialize it anew") from error
        middle, end = 1 + len(layout.whole), 1 + len(layout.numbers)
        if isinstance(index, int):
            columns[:middle], columns[middle:end] = whole[index, :, None], floats[index, :, None]
        else:
            columns[:middle], columns[middle:end] = whole[index].T, floats[index].T

    def _assembled(self, columns: FloatArray, plan: Plan, moments: FloatArray) -> FloatArray:
        features = np.empty((len(self._service.features), len(moments)))
        features[plan.served_to] = columns[plan.served_from]
        if plan.derived_to:
            inputs = {name: columns[at] for name, at in plan.inputs}
            derived = derive(inputs, moments)
            for name, to in plan.derived_to:
                features[to] = derived[name]
        return np.ascontiguousarray(features.T)

    def _plan(self, tables: tuple[WideTable, ...]) -> Plan:
        if self._planned is None or self._planned[0] != tables:
            self._planned = tables, _plan(self._service, tables)
        return self._planned[1]


def _asked(views: list[list[Keys]]) -> tuple[list[Asked], list[Index]]:
    """The keys to ask for, given each view's key columns, and where each row's key is among a view's."""
    asked: list[Asked] = []
    indexes: list[Index] = []
    seen: dict[int, tuple[list[str], Index]] = {}  # views share columns
    for view, (*leading, last) in enumerate(views):
        if len(last) and all(column[0] is not None and len(set(column)) == 1 for column in leading):
            known, index = seen.get(id(last)) or seen.setdefault(id(last), _distinct(last))
            groups = [(tuple(str(column[0]) for column in leading), known)] if known else []
        else:
            groups, index = _grouped([*leading, last])
        asked += [Asked(view, *group) for group in groups]
        indexes.append(index)
    return asked, indexes


def _distinct(column: Keys) -> tuple[list[str], Index]:
    """The distinct keys that are not None, and where each row's is among them: for one customer, or for none."""
    known = [key for key in dict.fromkeys(column) if key is not None]
    if len(known) == len(column):
        return known, slice(0, len(known))
    if len(set(column)) == 1:
        return known, 0
    places: dict[str | None, int] = {key: place for place, key in enumerate(known)}
    return known, np.array([places.get(key, len(known)) for key in column])


def _grouped(columns: list[Keys]) -> tuple[list[tuple[tuple[str, ...], list[str]]], Index]:
    """The distinct keys by the parts before the last, and where each row's is among them: for many customers."""
    groups: dict[tuple[str, ...], list[str]] = {}
    rows: list[tuple[str | None, ...]] = list(zip(*columns, strict=True))
    for *first, key in (row for row in dict.fromkeys(rows) if None not in row):
        groups.setdefault(tuple(map(str, first)), []).append(str(key))
    ordered = [(*first, key) for first, keys in groups.items() for key in keys]
    places: dict[tuple[str | None, ...], int] = {row: place for place, row in enumerate(ordered)}
    return list(groups.items()), np.array([places.get(row, len(places)) for row in rows], dtype=np.intp)


def _plan(service: ServiceDescription, tables: tuple[WideTable, ...]) -> Plan:
    at: dict[str, int] = {}
    starts = []
    end = 0
    for view, table in zip(service.views, tables, strict=True):
        _check(view, table)
        numbers = table.layout.numbers
        at |= {f"{view.view}__{name}": end + 1 + place for place, name in enumerate(numbers)}
        starts.append(end)
        end += 1 + len(numbers)
    served = [(at[name], to) for to, name in enumerate(service.features) if not name.startswith(PREFIX)]
    derived = tuple((name, to) for to, name in enumerate(service.features) if name.startswith(PREFIX))
    return Plan(
        tuple(starts),
        end,
        np.array([source for source, _ in served], dtype=np.intp),
        np.array([to for _, to in served], dtype=np.intp),
        tuple((name, at[name]) for name in INPUTS) if derived else (),
        derived,
    )


def _check(view: ViewColumns, table: WideTable) -> None:
    gone = [name for name in view.columns if name not in table.layout.numbers]
    if gone or table.keys != view.table.keys:
        raise OnlineStoreError(
            f"view {view.view} no longer has {', '.join(gone) or 'the keys'} this reader was made for; its definition "
            "changed: materialize the online store and open a new reader"
        )
