"""Features that give the label away are found; honest ones are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_labelled import labelled_spec, write_labelled_set

from ml_assets.learning.leaks import _alone, label_problems
from ml_assets.learning.spec import ModelSpec, Task
from ml_assets.learning.training_set import DatasetRef


def planted(dataset: DatasetRef, spec: ModelSpec, column: pa.Array) -> DatasetRef:
    """The training set with another column in the place of its noise."""
    rows = pq.read_table(dataset.path / "rows.parquet")
    at = rows.schema.get_field_index("place__noise")
    pq.write_table(rows.set_column(at, "place__noise", column), dataset.path / "rows.parquet")
    return DatasetRef(dataset.path)


@pytest.fixture(params=[Task.BINARY, Task.REGRESSION], ids=str)
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    return labelled_spec(request.param)


@pytest.fixture
def dataset(spec: ModelSpec, tmp_path: Path) -> DatasetRef:
    return write_labelled_set(tmp_path / "0123456789abcdef", spec)


def label(dataset: DatasetRef, spec: ModelSpec) -> np.ndarray:
    return pq.read_table(dataset.path / "rows.parquet")[spec.label].to_numpy().astype(np.float32)


def test_honest_features_do_not_leak(spec: ModelSpec, dataset: DatasetRef) -> None:
    assert _alone(spec, dataset) == []
    assert label_problems(spec, dataset) == []


@pytest.mark.parametrize("how", ["identical", "reversed", "nearly"])
def test_the_label_in_disguise_leaks(spec: ModelSpec, dataset: DatasetRef, how: str) -> None:
    truth = label(dataset, spec)
    noise = np.random.default_rng(1).normal(size=len(truth)).astype(np.float32) * 0.05
    column = {"identical": truth, "reversed": -3 * truth, "nearly": truth + noise}[how]
    (leak,) = _alone(spec, planted(dataset, spec, pa.array(column)))
    assert leak.feature == "place__noise"
    assert spec.label in leak.text


def test_a_value_that_is_there_only_for_one_class_leaks(dataset: DatasetRef, spec: ModelSpec) -> None:
    if spec.task is not Task.BINARY:
        pytest.skip("classes are of binary labels")
    truth = label(dataset, spec)
    column = pa.array(np.where(truth > 0, 1.0, np.nan).astype(np.float32))
    assert [leak.feature for leak in _alone(spec, planted(dataset, spec, column))] == ["place__noise"]


def test_a_part_with_one_label_is_told(spec: ModelSpec, dataset: DatasetRef) -> None:
    rows = pq.read_table(dataset.path / "rows.parquet")
    kind = rows.schema.field(spec.label).type
    at = rows.schema.get_field_index(spec.label)
    pq.write_table(rows.set_column(at, spec.label, pa.array(np.ones(len(rows)), kind)), dataset.path / "rows.parquet")
    assert len(label_problems(spec, DatasetRef(dataset.path))) == 4
