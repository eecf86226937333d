"""A published training set: where it lies, what its manifest says, and its parts as arrays.

Folder layout (made by `dataset.build_training_set`, never changed afterwards):

- `rows.parquet`: (split, decision, customer, product) order; keys, label, split, group, category_id, float32
features.
- `truth.parquet`: every spine row of the evaluated decisions, also of products that retrieval missed.
- `items.parquet`: per evaluated decision every product of the catalogue with its share of recent buyers.
- `baselines.parquet`: the baselines' ranked lists of the evaluated decisions (column `contender`).

A training set of labelled events has, instead of these, `rows.parquet` in (split, time) order with one row per event
(keys, slices, time, label, split, group = number of the row, float32 features) and `baselines.parquet` (contender,
split, group, score); nothing else.

- `manifest.json`: see `Manifest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.datasets.split import Part
from ml_assets.metrics.ranking import FloatArray, IntArray, Truth
from ml_assets.storage.files import sha256_file

ROWS, TRUTH, ITEMS, BASELINES, MANIFEST = (
    "rows.parquet",
    "truth.parquet",
    "items.parquet",
    "baselines.parquet",
    "manifest.json",
)

BATCH = 8_192
"""Rows turned from columns into rows at a time: they stay in the processor's cache."""


class PartCounts(BaseModel):
    """How large a part is, and how much of its truth the candidates hold at all."""

    model_config = ConfigDict(frozen=True)

    decisions: int
    groups: int
    rows: int
    relevant: int
    ceiling: float


class Manifest(BaseModel):
    """What a training set was made from and what it holds."""

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    model: str
    features: tuple[str, ...]
    split: dict[Part, tuple[date, ...]]
    counts: dict[Part, PartCounts]
    data: dict[str, Any]
    code: str
    spec: dict[str, Any] = Field(default_factory=dict, description="what of the model's spec it depends on")
    sources: dict[str, str] = Field(default_factory=dict, description="the code's files with a short hash of each")
    files: dict[str, str] = Field(default_factory=dict, description="SHA-256 of each of its own files")
    erased: int = Field(default=0, description="rows that were taken out since, of entities that were erased")


@dataclass(frozen=True)
class DatasetRef:
    """A training set by reference: its folder."""

    path: Path

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest, read once.

        Raises:
            FileNotFoundError: when the folder is not a published training set.
        """
        return Manifest.model_validate_json((self.path / MANIFEST).read_text())

    @property
    def fingerprint(self) -> str:
        """Content address: spec, data and code."""
        return self.path.name

    def altered(self) -> list[str]:
        """Its files that are missing or are not what was published; none when it is whole."""
        known = self.manifest.files
        return [name for name, sha256 in known.items() if not _is(self.path / name, sha256)]

    def described(self) -> dict[str, str]:
        """The training set and the versions of its data, flat, for a run's parameters."""
        data = {f"data.{name}": str(value) for name, value in self.manifest.data.items()}
        return {"training_set": self.fingerprint, "code": self.manifest.code, **data}


def _is(file: Path, sha256: str) -> bool:
    return file.is_file() and sha256_file(file) == sha256


@dataclass(frozen=True)
class Rows:
    """Rows of one part: `x` float32[n, F], `label` [n], `sizes` int64[groups] in row order.

    Candidates with int32 grades, many to a group; or events with int32 classes or float64 values, each its own group.
    """

    x: NDArray[np.float32]
    label: NDArray[np.int32] | NDArray[np.float64]
    sizes: IntArray

    @property
    def group(self) -> IntArray:
        """[n] ascending group number of each row."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def take(self, keep: NDArray[np.bool_]) -> Rows:
        """The marked rows [n]; a group without any is gone."""
        sizes = np.bincount(self.group[keep], minlength=len(self.sizes))
        return Rows(self.x[keep], self.label[keep], sizes[sizes > 0])


@dataclass(frozen=True)
class Frame:
    """One evaluated part over the full catalogue; a group is a (decision, customer) pair with truth.

    `customer` and `decision` are codes per group, `row_group`/`row_item` codes per candidate row, `items` the
    product ids behind item codes, `slices` a string array per slice column aligned with the truth rows.
    """

    part: Part
    rows: Rows
    row_group: IntArray
    row_item: IntArray
    items: pa.Array
    customers: pa.Array
    decisions: pa.Array
    customer: IntArray
    decision: IntArray
    truth: Truth
    slices: dict[str, NDArray[np.object_]]
    share: FloatArray
    catalogue: int
    item_column: str
    entity_column: str
    time_column: str

    def lists(self, table: pa.Table, length: int) -> IntArray:
        """A ranked list table as item codes by rank: int[groups, length], -1 where the list is shorter."""
        group = self.groups_of(table)
        rank = _ints(table["rank"])
        keep = (group >= 0) & (rank >= 1) & (rank <= length)
        lists = np.full((len(self.customer), length), -1, dtype=np.int64)
        lists[group[keep], rank[keep] - 1] = _codes(table[self.item_column], self.items)[keep]
        return lists

    def groups_of(self, table: pa.Table) -> IntArray:
        """[n] group of each row of a table with entity and time columns, -1 where it is nobody's."""
        wanted = _codes(table[self.time_column], self.decisions) * len(self.customers)
        wanted = wanted + _codes(table[self.entity_column], self.customers)
        known = self.decision * len(self.customers) + self.customer
        at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        return np.where(known[at] == wanted, at, -1)

    def group_share(self, lists: IntArray) -> FloatArray:
        """[groups, K] share of recent buyers of each listed item at the group's decision."""
        return self.share[self.decision[:, None], lists]


def load_rows(dataset: DatasetRef, part: Part, features: Sequence[str], spec: ModelSpec) -> Rows:
    """The candidate rows of a part, for fitting.

    Raises:
        KeyError: when the training set lacks a feature; it names the features.
    """
    table = _read_rows(dataset, part, features, [spec.label, "group"])
    return _rows(table, features, spec)


def load_frame(dataset: DatasetRef, part: Part, features: Sequence[str], spec: ModelSpec) -> Frame:
    """A part with its truth, catalogue and slices, for evaluating."""
    keys = [spec.entity, spec.time, spec.item]
    table = _read_rows(dataset, part, features, [*keys, spec.label, "group"])
    truth = pq.read_table(dataset.path / TRUTH, filters=[("split", "=", part.value)])
    truth = truth.filter(pc.greater_equal(truth[spec.label], spec.relevance_threshold))
    catalogue = pq.read_table(dataset.path / ITEMS, filters=[("split", "=", part.value)])
    items = _distinct(table[spec.item], truth[spec.item], catalogue[spec.item])
    customers, decisions = _distinct(truth[spec.entity]), _distinct(truth[spec.time])
    key = _codes(truth[spec.time], decisions) * len(customers) + _codes(truth[spec.entity], customers)
    groups, group = np.unique(key, return_inverse=True)
    share = np.full((len(decisions), len(items)), catalogue["share"].to_numpy().min(initial=1.0))
    at_time, at_item = _codes(catalogue[spec.time], decisions), _codes(catalogue[spec.item], items)
    share[at_time, at_item] = catalogue["share"].to_numpy()
    revenue = truth[spec.revenue].to_numpy() if spec.revenue else np.ones(len(truth))
    frame = Frame(
        part=part,
        rows=_rows(table, features, spec),
        row_group=np.empty(0, dtype=np.int64),
        row_item=_codes(table[spec.item], items),
        items=items,
        customers=customers,
        decisions=decisions,
        customer=groups % len(customers),
        decision=groups // len(customers),
        truth=Truth(len(groups), group, _codes(truth[spec.item], items), np.nan_to_num(revenue)),
        slices={name: truth[name].to_numpy().astype(object) for name in spec.slices},
        share=share,
        catalogue=len(pc.unique(catalogue[spec.item])),
        item_column=spec.item,
        entity_column=spec.entity,
        time_column=spec.time,
    )
    return replace(frame, row_group=frame.groups_of(table))


def _read_rows(dataset: DatasetRef, part: Part, features: Sequence[str], columns: list[str]) -> pa.Table:
    missing = sorted(set(features) - set(dataset.manifest.features))
    if missing:
        raise KeyError(f"{dataset.path / ROWS}: no features {missing}; build the training set again")
    wanted = [*columns, *features]
    return pq.read_table(dataset.path / ROWS, columns=wanted, filters=[("split", "=", part.value)])


def _rows(table: pa.Table, features: Sequence[str], spec: ModelSpec) -> Rows:
    x, at = np.empty((len(table), len(features)), dtype=np.float32), 0
    for batch in table.select(list(features)).to_batches(max_chunksize=BATCH):
        x[at : at + len(batch)] = batch.to_tensor(null_to_nan=True).to_numpy()
        at += len(batch)
    sizes = np.unique(table["group"].to_numpy(), return_counts=True)[1]
    kind = np.float64 if spec.task is Task.REGRESSION else np.int32
    return Rows(x, table[spec.label].to_numpy().astype(kind), sizes)


def _distinct(*columns: pa.ChunkedArray) -> pa.Array:
    values = pc.unique(pa.chunked_array([chunk for column in columns for chunk in column.chunks]))
    return values.take(pc.array_sort_indices(values))


def _codes(column: pa.ChunkedArray, values: pa.Array) -> IntArray:
    """Position of each value in `values`; far below zero where it is not there."""
    return _ints(pc.fill_null(pc.index_in(column, value_set=values), -(2**31)))


def _ints(column: pa.ChunkedArray) -> IntArray:
    return np.asarray(column.to_numpy(), dtype=np.int64)
