"""Boosters side by side: their scores on the same rows, their ranked lists, and what these hit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml_assets.config.model_spec import ModelSpec
from ml_assets.datasets.training_set import Frame
from ml_assets.metrics import ranking as metrics
from ml_assets.metrics.ranking import FloatArray, IntArray
from ml_assets.registry.versions import VersionRef

if TYPE_CHECKING:
    import lightgbm


@dataclass(frozen=True)
class Contender:
    """A booster and the features it takes, in its order."""

    booster: lightgbm.Booster
    features: tuple[str, ...]

    @classmethod
    def of(cls, version: VersionRef) -> Contender:
        """The booster of a published version."""
        return cls(version.booster(), version.features)

    def scores(self, x: NDArray[np.float32], columns: Sequence[str], threads: int) -> FloatArray:
        """Scores [n] of the rows `x` with these columns; a feature that is not among them is missing (NaN)."""
        if list(self.features) != list(columns):
            at = {name: position for position, name in enumerate(columns)}
            gone = np.full((len(x), 1), np.nan, dtype=np.float32)
            x = np.concatenate([x, gone], axis=1)[:, [at.get(name, len(columns)) for name in self.features]]
        return np.asarray(self.booster.predict(x, num_threads=threads), dtype=np.float64)


@dataclass(frozen=True)
class Judged:
    """A contender on one part: its lists, what they hit, and its metrics per group."""

    lists: IntArray
    hit: IntArray
    values: dict[str, FloatArray]


def slice_masks(slices: Mapping[str, NDArray[np.object_]]) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """The rows [n] of each slice, by column and value, in the order of the values."""
    return {
        (column, value): values == value
        for column, values in slices.items()
        for value in sorted({str(one) for one in values})
    }


def ranked(spec: ModelSpec, frame: Frame, score: FloatArray, name: str) -> pa.Table:
    """The ranked list table of a contender: its best candidates of each group, ties to the earlier row."""
    row, rank = metrics.top_k(score, frame.row_group, metrics.LIST_LENGTH)
    group = frame.row_group[row]
    return pa.table(
        {
            "contender": np.full(len(row), name),
            "split": np.full(len(row), frame.part.value),
            spec.entity: frame.customers.take(pa.array(frame.customer[group])),
            spec.time: frame.decisions.take(pa.array(frame.decision[group])),
            spec.item: frame.items.take(pa.array(frame.row_item[row])),
            "rank": rank.astype(np.int32),
            "score": score[row],
        }
    )


def judge(frame: Frame, table: pa.Table) -> Judged:
    """What the ranked lists of a contender hit, and its metrics per group."""
    lists = frame.lists(table, metrics.LIST_LENGTH)
    values = metrics.group_metrics(lists, frame.truth, frame.group_share(lists))
    return Judged(lists, metrics.match(lists, frame.truth), values)
