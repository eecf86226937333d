"""Features that give the label away are found; honest ones are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_labelled import labelled_spec, write_labelled_set
from tiny_training_set import small_spec, write_dataset

from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.config.settings import Settings
from ml_assets.datasets.leakage import find_leaks, label_problems, leaking_alone, strength_alone
from ml_assets.datasets.training_set import DatasetRef


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
    assert leaking_alone(spec, dataset) == []
    assert label_problems(spec, dataset) == []


@pytest.mark.parametrize("how", ["identical", "reversed", "nearly"])
def test_the_label_in_disguise_leaks(spec: ModelSpec, dataset: DatasetRef, how: str) -> None:
    truth = label(dataset, spec)
    noise = np.random.default_rng(1).normal(size=len(truth)).astype(np.float32) * 0.05
    column = {"identical": truth, "reversed": -3 * truth, "nearly": truth + noise}[how]
    (leak,) = leaking_alone(spec, planted(dataset, spec, pa.array(column)))
    assert leak.feature == "place__noise"
    assert spec.label in leak.text


def test_a_value_that_is_there_only_for_one_class_leaks(dataset: DatasetRef, spec: ModelSpec) -> None:
    if spec.task is not Task.BINARY:
        pytest.skip("classes are of binary labels")
    truth = label(dataset, spec)
    column = pa.array(np.where(truth > 0, 1.0, np.nan).astype(np.float32))
    assert [leak.feature for leak in leaking_alone(spec, planted(dataset, spec, column))] == ["place__noise"]


def test_a_part_with_one_label_is_told(spec: ModelSpec, dataset: DatasetRef) -> None:
    rows = pq.read_table(dataset.path / "rows.parquet")
    kind = rows.schema.field(spec.label).type
    at = rows.schema.get_field_index(spec.label)
    pq.write_table(rows.set_column(at, spec.label, pa.array(np.ones(len(rows)), kind)), dataset.path / "rows.parquet")
    assert len(label_problems(spec, DatasetRef(dataset.path))) == 4


@pytest.mark.parametrize("sign", [1, -1])
def test_a_ranking_feature_that_orders_its_lists_leaks(tmp_path: Path, settings: Settings, sign: int) -> None:
    """Whatever it is worth from list to list: only the order within one counts."""
    spec = small_spec()
    dataset = write_dataset(tmp_path / "0123456789abcdef", spec)
    assert find_leaks(spec, dataset, settings) == []
    rows = pq.read_table(dataset.path / "rows.parquet")
    shifted = pc.add(pc.multiply(rows["label"], float(sign)), pc.multiply(rows["group"], 0.5))
    at = rows.schema.get_field_index("noise")
    pq.write_table(rows.set_column(at, "noise", pc.cast(shifted, pa.float32())), dataset.path / "rows.parquet")
    (leak,) = find_leaks(spec, DatasetRef(dataset.path), settings)
    assert leak.feature == "noise"
    assert "within a list" in leak.text


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(-3, 3)), min_size=2, max_size=40),
    st.floats(0.01, 1e6),
)
def test_order_within_lists_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool, int]], scale: float) -> None:
    group, relevant, column = (np.array(each) for each in zip(*sorted(rows), strict=True))
    shares = []
    for one in np.unique(group):
        own, others = (column[(group == one) & (relevant == kind)] for kind in (True, False))
        if len(own) and len(others):
            shares.append(np.mean((own[:, None] > others) + 0.5 * (own[:, None] == others)))
    expected = np.mean(shares) if shares else 0.5
    found = strength_alone(column * scale, relevant.astype(float), Task.RANKING, group)
    several = len(np.unique(column)) > 1 and len(np.unique(relevant)) > 1
    assert found == pytest.approx(max(expected, 1 - expected) if several else 0.0)
