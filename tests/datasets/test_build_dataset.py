from __future__ import annotations

import datetime as dt

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tiny_warehouse import DAYS, FIRST_DAY

from ml_assets.config.model_spec import ModelSpec, SplitSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.build import build_training_set
from ml_assets.datasets.cutoffs import check_grades
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.evaluation.apply_gate import pass_gate
from ml_assets.evaluation.evaluate import evaluate, evaluation_folder
from ml_assets.evaluation.summary import markdown
from ml_assets.training.train import train

LAST_DAY = FIRST_DAY + dt.timedelta(days=DAYS - 1)


@pytest.fixture(scope="module")
def shop(tiny_shop: Settings) -> Settings:
    return tiny_shop


def same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    """Equal, NaN to NaN too."""
    return len(one) == len(other) and np.array_equal(
        one.to_numpy(), other.to_numpy(), equal_nan=pa.types.is_floating(one.type)
    )


def rebuilt(settings: Settings, spec: ModelSpec) -> DatasetRef:
    from feature_repo.store import open_store

    return build_training_set(spec, settings, open_store(settings))


def test_rows_are_ordered_typed_and_counted(built: DatasetRef, shop_spec: ModelSpec):
    rows = pq.read_table(built.path / "rows.parquet")
    part = pc.index_in(rows["split"], value_set=pa.array([part.value for part in Part])).to_pylist()
    keys = list(
        zip(
            part,
            *(rows[name].to_pylist() for name in ("decision_ts", "customer_id", "product_id")),
            strict=True,
        )
    )
    assert keys == sorted(set(keys))
    manifest = built.manifest
    assert {str(rows.schema.field(name).type) for name in manifest.features} == {"float"}
    assert {name.split("__")[0] for name in manifest.features} >= {
        "retrieval",
        "customer",
        "product",
        "derived",
    }
    assert sum(count.rows for count in manifest.counts.values()) == len(rows)
    assert rows["group"].to_pylist() == sorted(rows["group"].to_pylist())


def test_labels_and_ceiling_agree_with_the_spine(built: DatasetRef, shop: Settings):
    with duckdb.connect(str(shop.warehouse), read_only=True) as warehouse:
        warehouse.execute(f"create temp view made as from read_parquet('{built.path / 'rows.parquet'}')")
        wrong = warehouse.execute(
            "select count(*) from made left join mart_recommendation_spine as spine "
            "using (customer_id, decision_ts, product_id) where made.label <> coalesce(spine.label, 0)"
        ).fetchone()
        found = warehouse.execute("select count(*) from made where split = 'test' and label >= 3").fetchone()
        customers = warehouse.execute(
            "select count(distinct (customer_id, decision_ts)) from mart_recommendation_spine "
            f"where label >= 3 and decision_day in {tuple(map(str, built.manifest.split[Part.TEST]))}"
        ).fetchone()
    test = built.manifest.counts[Part.TEST]
    assert wrong == (0,)
    assert found is not None
    assert test.ceiling == pytest.approx(found[0] / test.relevant)
    truth = pq.read_table(built.path / "truth.parquet", filters=[("split", "=", "test")])
    assert customers == (len(truth.group_by(["customer_id", "decision_ts"]).aggregate([])),)


def test_only_train_groups_are_thinned(built: DatasetRef, shop_spec: ModelSpec):
    rows = pq.read_table(built.path / "rows.parquet", columns=["split", "group", "label"])
    for part in ("train", "test"):
        inside = rows.filter(pc.equal(rows["split"], part))
        unlabelled = inside.filter(pc.equal(inside["label"], 0))["group"].to_numpy()
        largest = np.unique(unlabelled, return_counts=True)[1].max()
        assert (
            (largest == shop_spec.training.negatives) if part == "train" else (largest > shop_spec.training.negatives)
        )


def test_baselines_are_there_for_every_judged_customer(built: DatasetRef):
    lists = pq.read_table(built.path / "baselines.parquet")
    truth = pq.read_table(built.path / "truth.parquet", filters=[("split", "in", ["test", "holdout"])])
    wanted = {tuple(row.values()) for row in truth.select(["customer_id", "decision_ts"]).to_pylist()}
    for name in ("popularity", "own_frequency", "item_knn", "ease"):
        own = lists.filter(pc.equal(lists["contender"], name)).select(["customer_id", "decision_ts"])
        assert {tuple(row.values()) for row in own.to_pylist()} == wanted


def test_the_same_inputs_are_found_again_and_rebuilt_to_the_byte(
    built: DatasetRef, shop: Settings, shop_spec: ModelSpec, elsewhere: Settings
):
    assert rebuilt(shop, shop_spec) == built
    again = rebuilt(elsewhere, shop_spec)
    assert again.fingerprint == built.fingerprint
    for file in sorted(built.path.iterdir()):
        assert (again.path / file.name).read_bytes() == file.read_bytes(), file.name


def test_what_happens_from_the_decision_on_changes_nothing_before_it(
    built: DatasetRef, elsewhere: Settings, shop_spec: ModelSpec
):
    """Without any warehouse row from the first test decision on, the rows up to it stay as they are."""
    cut = built.manifest.split[Part.TEST][0]
    with duckdb.connect(str(elsewhere.warehouse)) as warehouse:
        tables = warehouse.execute(
            "select table_name from duckdb_columns() join duckdb_tables() using (table_name) "
            "where column_name = 'event_day' and table_name <> 'mart_daily_counts'"
        ).fetchall()
        assert len(tables) >= 10
        for (table,) in tables:
            warehouse.execute(f"delete from {table} where event_day >= ?", [cut])
    blind = rebuilt(elsewhere, shop_spec)
    assert blind.fingerprint != built.fingerprint

    def known(ref: DatasetRef, file: str) -> pa.Table:
        table = pq.read_table(ref.path / file)
        return table.filter(pc.less_equal(table["decision_ts"], pa.scalar(dt.datetime.combine(cut, dt.time()))))

    for file in ("rows.parquet", "items.parquet", "baselines.parquet"):
        assert known(blind, file).num_rows > 0
        differing = [
            name
            for name in known(built, file).column_names
            if not same(known(blind, file)[name], known(built, file)[name])
        ]
        assert differing == [], file
    later = [pq.read_table(ref.path / "rows.parquet")["customer__orders_28d"] for ref in (blind, built)]
    assert not same(*later)


def test_too_short_a_history_is_refused_and_leaves_nothing(shop: Settings, shop_spec: ModelSpec):
    greedy = shop_spec.model_copy(update={"name": "greedy", "split": SplitSpec(validation=9, test=9)})
    with pytest.raises(ValueError, match="it takes 9 to validate, 9 to test"):
        rebuilt(shop, greedy)
    assert not list(shop.model_home("greedy").rglob("*.parquet"))


@pytest.mark.parametrize("label", ["label + 30", "label + 0.5", "-label", "null::int"])
def test_a_label_the_ranker_has_no_gain_for_is_refused(shop: Settings, shop_spec: ModelSpec, label: str):
    with duckdb.connect(str(shop.warehouse), read_only=True) as warehouse:
        days = [day for (day,) in warehouse.execute(f"select distinct decision_day from {shop_spec.spine}").fetchall()]
        warehouse.execute(f"create temp view graded as select * replace ({label} as label) from {shop_spec.spine}")
        check_grades(warehouse, shop_spec, days)
        with pytest.raises(ValueError, match=r"graded: label is no grade in .*whole numbers from 0 to 30"):
            check_grades(warehouse, shop_spec.model_copy(update={"spine": "graded"}), days)


FRESH = SplitSpec(train=4, validation=1, test=1, holdout=0, warmup_days=14)


def test_a_fresh_cut_reaches_as_far_as_the_labels_and_can_be_judged(
    built: DatasetRef, shop_spec: ModelSpec, elsewhere: Settings
):
    from feature_repo.store import open_store

    fresh = build_training_set(shop_spec, elsewhere, open_store(elsewhere), split=FRESH)
    assert fresh.fingerprint != built.fingerprint
    assert build_training_set(shop_spec, elsewhere, open_store(elsewhere), split=FRESH) == fresh
    assert fresh.manifest.split[Part.TEST] == built.manifest.split[Part.HOLDOUT]
    assert fresh.manifest.split[Part.HOLDOUT] == ()
    own = shop_spec.model_copy(update={"split": FRESH})
    assert build_training_set(own, elsewhere, open_store(elsewhere)) == fresh

    small = {"params": {"min_data_in_leaf": 5}, "rounds": 8}
    spec = shop_spec.model_copy(update={"training": shop_spec.training.model_copy(update=small)})
    version = train(spec, elsewhere, fresh).version
    result = evaluate(spec, elsewhere, fresh, version)
    assert list(result.parts) == ["test"]
    assert "**holdout**" not in markdown(result)
    assert "**test**" in markdown(result)
    folder = evaluation_folder(elsewhere, spec.name, version.version)
    assert f"{spec.name}, version" in (folder / "report.html").read_text()
    passed = pass_gate(spec, elsewhere, version.path, folder)
    assert passed.decision.checks
    assert (passed.champion is not None) == passed.decision.promote

    known = train(spec, elsewhere, built).version
    flattered = evaluate(spec, elsewhere, built, known, champion=version, evidently=False)
    assert f"{built.manifest.split[Part.TEST][0]}" in flattered.notes[0]
    assert evaluate(spec, elsewhere, fresh, version, champion=known, evidently=False).notes == ()


def test_a_training_set_of_an_earlier_day_is_built_again_however_far_the_warehouse_has_gone_on(
    shop: Settings, shop_spec: ModelSpec, elsewhere: Settings
):
    """The warehouse as it was a month before the end, and the newest decision it had, give the same bytes."""
    from feature_repo.store import open_store

    newest = LAST_DAY - dt.timedelta(days=LAST_DAY.weekday() + 35)
    with duckdb.connect(str(elsewhere.warehouse)) as warehouse:
        tables = warehouse.execute("select table_name, column_name from duckdb_columns()").fetchall()
        for table, column in tables:
            if column == "event_day":
                warehouse.execute(f"delete from {table} where event_day >= ?", [newest + dt.timedelta(days=7)])
        warehouse.execute("delete from mart_recommendation_spine where decision_day > ?", [newest])
    then = build_training_set(shop_spec, elsewhere, open_store(elsewhere), split=FRESH)
    assert then.manifest.split[Part.TEST] == (newest,)
    again = build_training_set(shop_spec, shop, open_store(shop), split=FRESH, newest=newest)
    assert again.fingerprint == then.fingerprint
    for file in sorted(then.path.iterdir()):
        assert (again.path / file.name).read_bytes() == file.read_bytes(), file.name
    assert again.altered() == []
