"""One part of a training set of labelled events, as arrays, for judging predictions row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml_assets.config.model_spec import ModelSpec
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import ROWS, DatasetRef, Rows, load_rows
from ml_assets.metrics.ranking import FloatArray, IntArray

REQUEST = "request__"
"""Prefix of the features that the caller sends along."""


@dataclass(frozen=True)
class Labelled:
    """The rows of a part with what they are judged by.

    `row` [n] numbers the rows within the training set, `cluster` [n] codes what the bootstrap draws together, `day` [n]
    codes into `days`, `slices` has a text array [n] per slice column.
    """

    part: Part
    rows: Rows
    row: IntArray
    cluster: IntArray
    day: IntArray
    days: tuple[date, ...]
    slices: dict[str, NDArray[np.object_]]

    @property
    def truth(self) -> FloatArray:
        """[n] labels."""
        return self.rows.label.astype(np.float64)


def load_labelled(dataset: DatasetRef, part: Part, features: Sequence[str], spec: ModelSpec) -> Labelled:
    """A part with clusters, days and slices, for evaluating.

    Raises:
        KeyError: when the training set lacks a feature; it names the features.
    """
    columns = dict.fromkeys([spec.time, "group", *spec.slices, *([spec.bootstrap_unit] if spec.bootstrap_unit else [])])
    table = pq.read_table(dataset.path / ROWS, columns=list(columns), filters=[("split", "=", part.value)])
    days, day = np.unique(table[spec.time].to_numpy().astype("datetime64[D]"), return_inverse=True)
    row = table["group"].to_numpy().astype(np.int64)
    kept = row if spec.bootstrap_unit is None else _texts(table[spec.bootstrap_unit])
    return Labelled(
        part=part,
        rows=load_rows(dataset, part, features, spec),
        row=row,
        cluster=np.unique(kept, return_inverse=True)[1].astype(np.int64),
        day=day.astype(np.int64),
        days=tuple(days.astype(object)),
        slices={name: _texts(table[name]).astype(object) for name in spec.slices},
    )


def _texts(column: object) -> NDArray[np.str_]:
    return np.array([str(value) for value in column.to_pylist()], dtype=np.str_)  # type: ignore[attr-defined]
