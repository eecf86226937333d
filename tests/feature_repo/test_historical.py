"""Training sets: the entity file's rows, in order, with the service's features."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.derived import derived_of
from feature_repo.historical import joined, training_frame
from feature_repo.reader import OnlineReader
from feature_repo.store import feature_names
from feature_repo.stores.session import OfflineStoreError
from feature_repo.views import VIEWS

SERVICE = "product_recommender"


def entity_file(path, as_of: datetime, rows: int = 300, without: str | None = None):
    rng = np.random.default_rng(3)
    products = rng.integers(0, 45, rows)
    moments = [as_of - timedelta(days=int(days)) for days in rng.integers(0, 30, rows)]
    columns = {
        "customer_id": [f"c{each}" for each in rng.integers(0, 70, rows)],
        "product_id": [f"p{each}" for each in products],
        "category_id": [f"g{each % 7}" for each in products],
        "event_timestamp": pa.array(moments, pa.timestamp("us")),
        "now": [each.replace(tzinfo=UTC).timestamp() for each in moments],
        "label": rng.integers(0, 4, rows),
    }
    columns.pop(without or "", None)
    pq.write_table(pa.table(columns), path)
    return path


def test_rows_in_order_with_every_feature_as_float32(store, as_of, tmp_path):
    entities = entity_file(tmp_path / "entities.parquet", as_of)
    assert training_frame(store, SERVICE, entities, tmp_path / "out.parquet") == 300
    given, out = pq.read_table(entities), pq.read_table(tmp_path / "out.parquet")
    assert out.column_names == [*given.column_names, *feature_names(store, SERVICE)]
    assert out.select(given.column_names).equals(given)
    assert {out.schema.field(name).type for name in feature_names(store, SERVICE)} == {pa.float32()}
    training_frame(store, SERVICE, entities, tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "out.parquet").read_bytes()


def test_rows_at_the_online_store_s_moment_are_what_the_reader_reads(store, warehouse, as_of, tmp_path):
    entities = entity_file(tmp_path / "entities.parquet", as_of)
    table = pq.read_table(entities)
    table = table.set_column(3, "event_timestamp", pa.array([as_of] * 300, pa.timestamp("us")))
    table = table.set_column(4, "now", pa.array([as_of.replace(tzinfo=UTC).timestamp()] * 300))
    pq.write_table(table, entities)
    training_frame(store, SERVICE, entities, tmp_path / "out.parquet", feature_type=pa.float64())
    names = feature_names(store, SERVICE)
    offline = pq.read_table(tmp_path / "out.parquet", columns=names).to_pandas().to_numpy("float64")
    keys = [table[name].to_pylist() for name in ("customer_id", "product_id", "category_id")]
    online = OnlineReader(warehouse.online_store).read_many(*keys, table["now"].to_numpy())
    assert np.allclose(offline, online, rtol=1e-9, atol=0, equal_nan=True)


def test_what_happens_later_changes_nothing(small_store, settings, as_of, tmp_path):
    store, cut = small_store(), as_of - timedelta(days=10)
    entities = entity_file(tmp_path / "entities.parquet", cut)
    training_frame(store, SERVICE, entities, tmp_path / "out.parquet")
    with duckdb.connect(str(settings.warehouse)) as connection:
        for view in VIEWS:
            table = f"feat_{view.name}"
            later = connection.execute(f"delete from {table} where event_timestamp > ?", [cut]).fetchall()
            assert later[0][0] > 0
    training_frame(store, SERVICE, entities, tmp_path / "again.parquet")
    assert pq.read_table(tmp_path / "again.parquet").equals(pq.read_table(tmp_path / "out.parquet"))


def test_feast_s_own_retrieval_has_the_stored_features_of_the_service(store, as_of, tmp_path):
    entities = entity_file(tmp_path / "entities.parquet", as_of)
    job = store.get_historical_features(entities, store.get_feature_service(SERVICE), full_feature_names=True)
    assert job.to_parquet(tmp_path / "out.parquet") == 300
    plain = pq.read_table(tmp_path / "out.parquet")
    assert plain.equals(job.to_arrow())
    names = feature_names(store, SERVICE)
    assert set(names) - set(plain.column_names) == set(derived_of(SERVICE))
    ours = pa.concat_tables(joined(store, SERVICE, entities))
    assert ours.select(plain.column_names).equals(plain)
    assert set(names) <= set(ours.column_names)


@pytest.mark.parametrize("missing", ["now", "product_id"])
def test_a_missing_column_is_named_and_nothing_is_written(store, as_of, tmp_path, missing):
    entities = entity_file(tmp_path / "entities.parquet", as_of, without=missing)
    with pytest.raises(OfflineStoreError, match=f"lack {missing}"):
        training_frame(store, SERVICE, entities, tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["entities.parquet"]
