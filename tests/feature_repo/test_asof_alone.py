"""The stores belong to any Feast repository: nothing in them knows the rest of this project."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import feature_repo.stores

STORES = Path(feature_repo.stores.__file__).parent
PROJECT = STORES.parents[1]

DEFINITIONS = """
from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
stats = FeatureView(
    name="stats",
    entities=[driver],
    ttl=timedelta(days=2),
    schema=[
        Field(name="driver_id", dtype=Int64),
        Field(name="trips", dtype=Int64),
        Field(name="rating", dtype=Float64),
    ],
    source=FileSource(name="stats", path="stats.parquet", timestamp_field="at", created_timestamp_column="made"),
)
"""

CONFIGURATION = """
project: alone
provider: local
registry: registry.db
offline_store:
  type: feature_repo.stores.asof.AsofOfflineStore
online_store:
  type: sqlite
  path: online.db
entity_key_serialization_version: 3
"""

USE = """
import sys
from datetime import datetime
from pathlib import Path

import pandas as pd
from feast import FeatureStore
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.repo_operations import apply_total

day = [datetime(2024, 1, 1 + n) for n in range(6)]
stats = {"driver_id": [1, 1, 1, 2], "at": [day[0], day[1], day[1], day[0]], "made": [day[0], day[1], day[4], day[0]]}
pd.DataFrame(stats | {"trips": [1, 2, 3, 9], "rating": [0.1, 0.2, 0.3, 0.9]}).to_parquet("stats.parquet")
rows = pd.DataFrame({"driver_id": [2, 1, 1, 1, 3], "event_timestamp": [day[5], day[2], day[0], day[3], day[1]]})
rows.to_parquet("rows.parquet")

store = FeatureStore(repo_path=".")
sys.path.insert(0, str(Path.cwd()))  # as `feast apply` does
apply_total(store.config, Path("."), skip_source_validation=False)
store = FeatureStore(repo_path=".")
features = ["stats:trips", "stats:rating"]
expected = [None, 2, 1, 2, None]
for given in (rows, "rows.parquet", Path("rows.parquet"), "select * from 'rows.parquet'"):
    found = store.get_historical_features(given, features).to_df()
    assert found["driver_id"].tolist() == [2, 1, 1, 1, 3]
    assert [None if pd.isna(each) else each for each in found["trips"]] == expected, found

saved = store.create_saved_dataset(
    store.get_historical_features(rows, features), "saved", SavedDatasetFileStorage(path="saved.parquet")
)
assert sorted(saved.to_df()["trips"].dropna()) == [1, 2, 2]
assert len(store.get_saved_dataset("saved").to_df()) == 5

store.materialize(day[0], day[5])
online = store.get_online_features(features, [{"driver_id": 1}, {"driver_id": 7}]).to_dict()
assert online["trips"] == [3, None], online

here = Path(__file__).parent
assert here in Path(sys.modules["feature_repo.stores.asof"].__file__).parents
strangers = [name for name in sys.modules if name.split(".")[0] in ("ml_assets", "serving", "dagster")]
assert not strangers, strangers
print("used alone")
"""


def imported(path: Path) -> set[str]:
    """Modules a file imports, anywhere in it; of `from a import b` both `a` and `a.b`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def needed(module: str) -> set[str]:
    """Every module of this project that `module` imports, directly or not, itself included."""
    found, new = set(), {module}
    while new:
        found |= new
        paths = [PROJECT.joinpath(*name.split(".")).with_suffix(".py") for name in new]
        new = {name for path in paths if path.exists() for name in imported(path)} - found
        new = {name for name in new if name.split(".")[0] in ("ml_assets", "serving", "feature_repo", "benchmarks")}
    return found


@pytest.mark.parametrize("module", ["asof", "duckdb_source"])
def test_the_offline_store_imports_nothing_else_of_the_project(module):
    assert {
        name for name in needed(f"feature_repo.stores.{module}") if not name.startswith("feature_repo.stores")
    } == set()


def test_a_plain_feast_repository_uses_the_offline_store_by_its_class_path(tmp_path):
    plugin, repository = tmp_path / "plugin", tmp_path / "repository"
    shutil.copytree(STORES, plugin / "feature_repo" / "stores", ignore=shutil.ignore_patterns("__pycache__"))
    (plugin / "feature_repo" / "__init__.py").touch()
    repository.mkdir()
    (repository / "feature_store.yaml").write_text(CONFIGURATION)
    (repository / "definitions.py").write_text(DEFINITIONS)
    (tmp_path / "use.py").write_text(USE)
    environment = {**os.environ, "PYTHONPATH": str(plugin), "IS_TEST": "True", "FEAST_USAGE": "False"}
    command = [sys.executable, str(tmp_path / "use.py")]
    ran = subprocess.run(command, check=False, cwd=repository, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.endswith("used alone\n")
