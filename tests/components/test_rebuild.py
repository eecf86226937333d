"""A changed column of a feature needs one command: all days anew, as an orderly build from scratch makes them."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from bakery import DAYS, FIRST, make_project
from project_copy import python

LAST = FIRST + dt.timedelta(days=DAYS - 1)
RUN = """
import json, sys
import dagster as dg
from ml_assets.definitions import defs
from ml_assets.execution.runs import range_tags

found, (job, first, last, *assets) = defs(), sys.argv[1:]
keys = [dg.AssetKey.from_user_string(asset) for asset in assets]
with dg.DagsterInstance.ephemeral() as instance:
    job = found.resolve_job_def(job)
    tags = range_tags(first, last) if first else {}
    done = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False, asset_selection=keys or None)
    failed = [e.step_failure_data.error.to_string() for e in done.all_events if e.is_step_failure]
    made = {e.asset_key.to_user_string(): {k: v.value for k, v in e.materialization.metadata.items()}
            for e in done.get_asset_materialization_events()}
    print(json.dumps({"failed": failed, "made": made}, default=str))
"""


def run(project: Path, job: str, first: object = "", last: object = "", *assets: str) -> dict[str, Any]:
    done = python(project, "-c", RUN, job, str(first), str(last), *assets)
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def add_column(project: Path) -> None:
    sql = project / "dbt_project" / "models" / "bakery" / "feat_item_sales.sql"
    change(sql, "as mean_sold", "as mean_sold, max(sold) over past as most_sold")
    change(
        project / "feature_repo" / "features" / "bakery.yaml", "mean_sold: float", "mean_sold: float, most_sold: float"
    )


def rows(project: Path) -> list[tuple[Any, ...]]:
    [path] = (project / "var").glob("*/warehouse.duckdb")
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute("from feat_item_sales order by all").fetchall()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_project(tmp_path_factory.mktemp("rebuilt") / "project")
    assert run(made, "bakery_ingest", FIRST, LAST)["failed"] == []
    return made


def test_a_new_column_is_refused_with_the_command_that_makes_it(project: Path, tmp_path: Path) -> None:
    before = rows(project)
    add_column(project)
    [failed] = run(project, "bakery_ingest", LAST, LAST)["failed"]
    assert "the columns of feat_item_sales have changed (new: most_sold)" in failed
    assert "python -m ml_assets rebuild feat_item_sales" in failed
    assert rows(project) == before

    done = python(project, "-m", "ml_assets", "rebuild", "feat_item_sales")
    assert done.returncode == 0, done.stdout + done.stderr
    scratch = make_project(tmp_path / "scratch")
    add_column(scratch)
    assert run(scratch, "bakery_ingest", FIRST, LAST)["failed"] == []
    assert rows(project) == rows(scratch)
    assert len(rows(project)) == len(before)

    trained = run(project, "bakery_train", "", "", "demand/training_set")
    assert trained["failed"] == []
    assert (
        "item_sales__most_sold"
        in json.loads((Path(trained["made"]["demand/training_set"]["path"]) / "manifest.json").read_text())["features"]
    )


def test_a_name_that_is_no_model_is_refused(project: Path) -> None:
    done = python(project, "-m", "ml_assets", "rebuild", "feat_nothing")
    assert (done.returncode, done.stdout.strip()) == (1, "no dbt model: feat_nothing")
