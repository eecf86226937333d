"""AsofOfflineStore through Feast's own API, on Parquet files: usable without the rest of this project."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.types import Float64, Int64, String

from feature_repo.stores.asof import AsofOfflineStore
from feature_repo.stores.session import OfflineStoreError

DAY = timedelta(days=1)
START = datetime(2024, 1, 1)


def source(folder, name, rows, **options) -> FileSource:
    pd.DataFrame(rows).to_parquet(folder / f"{name}.parquet")
    return FileSource(name=name, path=str(folder / f"{name}.parquet"), **options)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A Feast store over Parquet with views for each promise of the offline store."""
    folder = tmp_path_factory.mktemp("files")
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    days = [START + n * DAY for n in range(4)]
    trips = source(
        folder, "trips", {"driver_id": [1, 1, 2, 2], "ts": days, "raw_trips": [10, 11, 20, 21]},
        timestamp_field="ts", field_mapping={"raw_trips": "trips"},
    )  # fmt: skip
    corrected = source(
        folder,
        "corrected",
        {"driver_id": [1, 1], "ts": [START, START], "made": [START, START + 5 * DAY], "rating": [1.0, 5.0]},
        timestamp_field="ts",
        created_timestamp_column="made",
    )
    zoned = [moment.replace(tzinfo=UTC) for moment in days]
    weather = source(folder, "weather", {"ts": zoned, "rain": [0, 1, 2, 3]}, timestamp_field="ts")
    key = Field(name="driver_id", dtype=Int64)

    def over(name, entities, ttl, feature, source):
        schema = [key, feature] if entities else [feature]
        return FeatureView(name=name, entities=entities, ttl=ttl, schema=schema, source=source)

    views = [
        over("trips", [driver], timedelta(0), Field(name="trips", dtype=Int64), trips),
        over("fresh", [driver], 2 * DAY, Field(name="trips", dtype=Int64), trips),
        over("rating", [driver], timedelta(0), Field(name="rating", dtype=Float64), corrected),
        over("weather", [], timedelta(0), Field(name="rain", dtype=String), weather),
    ]
    mate = views[0].with_name("mate").with_join_key_map({"driver_id": "mate_id"})
    service = FeatureService(name="both", features=[views[0].with_name("self"), mate])
    config = RepoConfig(
        project="alone",
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{folder}/registry.db"},
        offline_store={
            "type": "feature_repo.stores.asof.AsofOfflineStore",
            "batch_rows": 3,
            "memory": "200MB",
        },
        online_store={
            "type": "feature_repo.stores.wide_sqlite.WideSqliteOnlineStore",
            "path": str(folder / "online.db"),
        },
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    store = FeatureStore(config=config)
    store.apply([driver, *views, service])
    return store


def join(store, rows, features, **options):
    return store.get_historical_features(pd.DataFrame(rows), features, **options)


def test_rows_keep_number_and_order_and_missing_is_null(files):
    rows = {
        "driver_id": [2, 9, 1, 2, 1, None, 2],
        "event_timestamp": [START + n * DAY for n in (9, 9, 0, 1, 9, 9, 9)],
        "place": range(7),
    }
    found = join(files, rows, ["trips:trips"]).to_df()
    assert found["place"].tolist() == list(range(7))
    expected = [21, None, 10, None, 11, None, 21]
    assert found["trips"].astype("Int64").tolist() == [pd.NA if each is None else each for each in expected]


def test_a_value_counts_from_its_timestamp_on_and_expires_after_the_ttl(files):
    moments = [START + DAY - timedelta(microseconds=1), START + DAY, START + 3 * DAY]
    moments.append(START + 3 * DAY + timedelta(microseconds=1))
    rows = {"driver_id": [1] * 4, "event_timestamp": moments}
    assert join(files, rows, ["fresh:trips"]).to_df()["trips"].fillna(-1).tolist() == [10, 11, 11, -1]


def test_a_correction_counts_only_from_when_it_was_made(files):
    rows = {"driver_id": [1, 1], "event_timestamp": [START + 4 * DAY, START + 5 * DAY]}
    assert join(files, rows, ["rating:rating"]).to_df()["rating"].tolist() == [1.0, 5.0]


def test_zoned_and_naive_entity_timestamps_mean_the_same_moment(files):
    naive = pd.Series([START + DAY, START + DAY - timedelta(seconds=1)])
    for moments in (
        naive,
        naive.dt.tz_localize("UTC"),
        naive.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
    ):
        rows = {"driver_id": [1, 1], "event_timestamp": moments}
        assert join(files, rows, ["trips:trips"]).to_df()["trips"].tolist() == [11, 10]


def test_one_view_under_two_names_joins_on_two_keys(files):
    rows = {"driver_id": [1], "mate_id": [2], "event_timestamp": [START + 9 * DAY]}
    found = join(files, rows, files.get_feature_service("both"), full_feature_names=True).to_df()
    assert found[["self__trips", "mate__trips"]].to_numpy().tolist() == [[11, 21]]


def test_a_view_without_entities_and_a_declared_type(files):
    rows = {"event_timestamp": [START + 9 * DAY, START]}
    assert join(files, rows, ["weather:rain"]).to_df()["rain"].tolist() == ["3", "0"]


def test_entity_rows_as_sql_in_slices_equal_the_whole(files):
    sql = "select 1 + i % 2 as driver_id, timestamp '2024-01-03' as event_timestamp, i from range(8) as r(i)"
    job = files.get_historical_features(sql, ["trips:trips"])
    slices = list(job.to_tables())
    assert [table.num_rows for table in slices] == [3, 3, 2]
    assert [batch.num_rows for batch in job.to_batches()] == [3, 3, 2]
    whole = job.to_arrow()
    assert whole["i"].to_pylist() == list(range(8))
    assert whole["trips"].to_pylist() == [11, 20] * 4


def test_no_entity_rows_still_give_a_schema(files):
    sql = "select 1 as driver_id, timestamp '2024-01-03' as event_timestamp where false"
    found = files.get_historical_features(sql, ["trips:trips"]).to_arrow()
    assert (found.num_rows, found.column_names) == (0, ["driver_id", "event_timestamp", "trips"])


def test_little_memory_spills_and_gives_the_same_rows(files, tmp_path):
    sql = """
        select 1 + hash(i) % 3 as driver_id, i as place,
            timestamp '2024-01-01' + to_seconds(hash(i, 1) % 400_000) as event_timestamp
        from range(400_000) as drawn(i)
    """
    written = []
    for memory in ("2GB", "32MB"):
        config = files.config.model_copy(deep=True)
        config.offline_store.memory = memory
        config.offline_store.temp_directory = str(tmp_path / "spill")
        job = FeatureStore(config=config).get_historical_features(sql, ["trips:trips", "rating:rating"])
        assert job.to_parquet(tmp_path / memory) == 400_000
        written.append((tmp_path / memory).read_bytes())
    assert written[0] == written[1]


def test_a_missing_file_is_named(files, tmp_path):
    for given in (tmp_path / "none.parquet", str(tmp_path / "none.parquet")):
        with pytest.raises(OfflineStoreError, match=r"no Parquet file .*none\.parquet"):
            files.get_historical_features(given, ["trips:trips"]).to_arrow()


def test_the_range_of_the_entity_timestamps_is_known_before_anything_is_read(files):
    rows = {"driver_id": [1, 2, 1], "event_timestamp": [START + DAY, START, START + 2 * DAY]}
    metadata = join(files, rows, ["trips:trips"]).metadata
    assert (metadata.min_event_timestamp, metadata.max_event_timestamp) == (START, START + 2 * DAY)
    assert (metadata.features, metadata.keys) == (["trips:trips"], ["driver_id"])


def test_persist_writes_the_result_once(files, tmp_path):
    job = join(files, {"driver_id": [1, 2], "event_timestamp": [START + 9 * DAY] * 2}, ["trips:trips"])
    storage = SavedDatasetFileStorage(path=str(tmp_path / "saved" / "set.parquet"))
    job.persist(storage)
    assert pd.read_parquet(tmp_path / "saved" / "set.parquet")["trips"].tolist() == [11, 21]
    with pytest.raises(OfflineStoreError, match="allow_overwrite"):
        job.persist(storage)
    job.persist(storage, allow_overwrite=True)
    assert [path.name for path in (tmp_path / "saved").iterdir()] == ["set.parquet"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"event_timestamp": [START]}, "lack driver_id"),
        ({"driver_id": [1]}, "need a column event_timestamp"),
        ({"driver_id": [1], "event_timestamp": [START], "trips": [0]}, "trips would appear twice"),
    ],
)
def test_what_is_missing_is_named(files, rows, message):
    with pytest.raises(OfflineStoreError, match=message):
        join(files, rows, ["trips:trips"]).to_df()


def test_without_entity_rows_there_is_no_answer(files):
    with pytest.raises(OfflineStoreError, match="entity_df"):
        files.get_historical_features(None, ["trips:trips"], start_date=START, end_date=START + DAY)


def test_pulls_are_inclusive_at_both_ends(files):
    view = files.get_feature_view("trips")
    given = (files.config, view.batch_source, ["driver_id"], ["raw_trips"], "ts", None)
    newest = AsofOfflineStore.pull_latest_from_table_or_query(*given, START, START + 2 * DAY).to_df()
    assert newest[["driver_id", "raw_trips"]].to_numpy().tolist() == [[1, 11], [2, 20]]
    every = AsofOfflineStore.pull_all_from_table_or_query(*given, START + DAY, START + 2 * DAY).to_df()
    assert sorted(every["raw_trips"]) == [11, 20]


def test_feast_materialize_and_online_read_work_with_both_stores(files):
    files.materialize(START - DAY, START + 9 * DAY, feature_views=["trips"])
    found = files.get_online_features(["trips:trips"], [{"driver_id": 1}, {"driver_id": 7}]).to_dict()
    assert found["trips"] == [11, None]


def test_an_on_demand_view_is_refused_by_name(files):
    with pytest.raises(OfflineStoreError, match="speed: this store joins stored feature views"):
        AsofOfflineStore.get_historical_features(
            files.config, [], ["speed:mean"], pd.DataFrame({"event_timestamp": [START]}), files.registry, "alone"
        )
