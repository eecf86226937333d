"""What the spine tells before anything is trained: labels that are no numbers, days that are too few."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
import yaml
from tiny_labelled import labelled_spec

from ml_assets.config.model_config import SplitSpec
from ml_assets.config.model_spec import Task
from ml_assets.datasets.spine_checks import check_days, check_labels, label_number, labelled_rows

SPEC = labelled_spec(Task.BINARY)


@pytest.fixture
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def spine(warehouse: duckdb.DuckDBPyConnection, *labels: Any, type_: str = "varchar", days: int = 60) -> None:
    """Four events a day with these labels in turn."""
    warehouse.execute(
        "create or replace table mart_events as select 'e' || n as event_id, "
        f"timestamp '2026-01-01' + interval (6 * n) hour as happened_at, "
        f"cast($labels[1 + n % {len(labels)}] as {type_}) as label from range({4 * days}) as numbers (n)",
        {"labels": [None if label is None else str(label) for label in labels]},
    )


@pytest.mark.parametrize(
    ("labels", "said", "read"),
    [
        (("ja", "nein"), r"label is 'ja' in 120 rows, 'nein' in 120 rows; a binary label is 0 or 1: ", [1, 0]),
        (("yes", "no", None), r"label is 'no' in 80 rows, 'yes' in 80 rows", [1, 0, None]),
        (("true", "0", "false", "1"), r"label is 'false' in 60 rows, 'true' in 60 rows", [1, 0, 0, 1]),
        (
            ("YES", "it's"),
            r"label is 'YES' in 120 rows, 'it's' in 120 rows|label is 'YES' in 120 rows, \"it's\"",
            [1, 0],
        ),
    ],
)
def test_words_are_told_with_sql_that_makes_labels_of_them(
    warehouse: duckdb.DuckDBPyConnection, labels: tuple[Any, ...], said: str, read: list[int | None]
) -> None:
    spine(warehouse, *labels)
    with pytest.raises(ValueError, match=f"mart_events: {said}") as told:
        check_labels(SPEC, warehouse)
    sql = str(told.value).split("`")[1]
    found = warehouse.execute(f"select {sql} from mart_events order by happened_at limit {len(labels)}").fetchall()
    assert [label for (label,) in found] == read
    warehouse.execute(f"create or replace table mart_events as select * exclude (label), {sql} from mart_events")
    check_labels(SPEC, warehouse)


@pytest.mark.parametrize(
    ("task", "labels", "said"),
    [
        (Task.BINARY, ("a", "b", "c"), "'a' in 80 rows, 'b' in 80 rows, 'c' in 80 rows; a binary label is 0 or 1"),
        (Task.BINARY, (0, 1, 2), "label is '2' in 80 rows; a binary label is 0 or 1"),
        (Task.REGRESSION, ("1.5", "n/a"), "'n/a' in 120 rows; .*try_cast"),
        (Task.REGRESSION, ("1.5", "1e39"), "finite number"),
        (Task.REGRESSION, ("1.5", "nan"), "finite number"),
    ],
)
def test_other_labels_that_do_not_do_are_told(
    warehouse: duckdb.DuckDBPyConnection, task: Task, labels: tuple[Any, ...], said: str
) -> None:
    spine(warehouse, *labels)
    with pytest.raises(ValueError, match=said):
        check_labels(labelled_spec(task), warehouse)


@pytest.mark.parametrize(
    ("labels", "type_"),
    [((0, 1, None), "integer"), ((True, False), "boolean"), (("1", "0"), "varchar"), ((" 1.0", "0"), "varchar")],
)
def test_numbers_are_labels_however_they_are_typed(
    warehouse: duckdb.DuckDBPyConnection, labels: tuple[Any, ...], type_: str
) -> None:
    spine(warehouse, *labels, type_=type_)
    check_labels(SPEC, warehouse)
    read = warehouse.execute(
        f"select distinct {label_number(SPEC)} from mart_events where label is not null"
    ).fetchall()
    assert sorted(read) == [(0.0,), (1.0,)]
    assert labelled_rows(SPEC, warehouse) == 240 - 80 * labels.count(None)


def test_days_that_are_too_few_are_told_with_a_split_that_fits(warehouse: duckdb.DuckDBPyConnection) -> None:
    spine(warehouse, 0, 1, days=12)
    with pytest.raises(ValueError, match=r"^12 decisions .*say what fits: split: \{") as told:
        check_days(SPEC, warehouse)
    fits = yaml.safe_load(str(told.value).split("fits: split: ")[1])
    fitting = SPEC.model_copy(update={"split": SplitSpec.model_validate(fits)})
    assert check_days(fitting, warehouse).startswith("12 days with labels are enough for the split: train: ")


def test_a_spine_without_the_label_is_told(warehouse: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(ValueError, match="mart_events with a column label is not in the warehouse"):
        labelled_rows(SPEC, warehouse)
