"""The asset graph is pinned: what exists, in which group, what depends on what, and what loading it may cost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from shipped import TAXI

from ml_assets.config.model_spec import model_specs
from ml_assets.config.settings import PROJECT, SHOP, load_settings
from ml_assets.config.sources import sources_beside

HEAVY = ("feast", "mlflow", "evidently", "lightgbm", "optuna", "bentoml", "sklearn", "matplotlib")
MODEL = "product_recommender"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("definitions")


@pytest.fixture(scope="module")
def graph(home: Path) -> Any:
    from ml_assets.definitions import defs

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_ASSETS_HOME", str(home))
        for name in load_settings().model_fields:
            if name != "home":
                patch.delenv(f"ML_ASSETS_{name.upper()}", raising=False)
        yield defs().resolve_asset_graph()


def keys(graph: Any, group: str) -> set[str]:
    return {key.to_user_string() for key in graph.get_all_asset_keys() if graph.get(key).group_name == group}


def sources_of_models() -> set[str]:
    """The sources beside the shop that a model is of: what ships, and what somebody added."""
    return {spec.source for spec in model_specs()} - {SHOP}


def test_every_group_holds_what_it_should(graph: Any) -> None:
    assert keys(graph, "raw") == {
        "shop/landing", "shop/events", "shop/events_quarantine", "shop/products", "shop/products_quarantine",
    }  # fmt: skip
    assert keys(graph, "features") == {
        "feat_customer", "feat_product", "feat_category", "feat_customer_product", "feat_customer_category",
    }  # fmt: skip
    assert keys(graph, MODEL) == {
        f"{MODEL}/{name}"
        for name in (
            "training_set", "refit", "tuning", "candidate", "evaluation", "champion",
            "retrieval_index", "service", "deployment", "batch_predictions", "release",
        )
    }  # fmt: skip
    assert keys(graph, f"{MODEL}_monitoring") == {
        f"{MODEL}/{name}"
        for name in ("prediction_log", "predictions", "drift", "quality", "skew", "service_level")
    }  # fmt: skip


@TAXI
def test_a_source_beside_the_shop_has_a_group_of_its_own(graph: Any) -> None:
    assert keys(graph, "chicago_taxi") == {
        "chicago_taxi/trips", "chicago_taxi/trips_quarantine", "chicago_taxi/online_store", "stg_trips",
        "int_taxi_company_days", "int_taxi_pickup_days", "int_taxi_dropoff_days",
        "feat_taxi_company", "feat_taxi_pickup", "feat_taxi_dropoff", "mart_taxi_tips_spine",
    }  # fmt: skip
    assert keys(graph, "taxi_tips") == {
        f"taxi_tips/{name}"
        for name in (
            "training_set", "refit", "tuning", "candidate", "evaluation", "champion", "service", "deployment",
            "batch_predictions",
        )
    }  # fmt: skip
    assert keys(graph, "taxi_tips_monitoring") == {
        f"taxi_tips/{name}"
        for name in ("prediction_log", "predictions", "drift", "quality", "skew", "service_level")
    }  # fmt: skip
    starts = {graph.get(dg.AssetKey(key)).partitions_def.start for key in ("stg_trips", "stg_events")}
    assert len(starts) == 2


def test_jobs_of_the_shop_touch_no_other_source(graph: Any) -> None:
    from ml_assets.defs.jobs import asset_jobs

    jobs = asset_jobs(load_settings())
    for name in ("ingest", "train", "daily"):
        groups = {graph.get(key).group_name for key in jobs[name].selection.resolve(graph)}
        assert not groups & {*sources_beside(), *(spec.name for spec in model_specs() if spec.source != SHOP)}


@TAXI
def test_jobs_of_a_source_touch_its_own_and_watch_without_an_end(graph: Any) -> None:
    from ml_assets.defs.jobs import asset_jobs

    jobs = asset_jobs(load_settings())
    trained = {key.to_user_string() for key in jobs["chicago_taxi_train"].selection.resolve(graph)}
    assert {"feast/definitions", "chicago_taxi/online_store", "taxi_tips/deployment"} <= trained
    assert not {key for key in trained if key.startswith(("shop/", "product_recommender/"))}
    watched = {key.to_user_string() for key in jobs["chicago_taxi_watch"].selection.resolve(graph)}
    assert watched == {
        f"taxi_tips/{name}" for name in ("predictions", "drift", "quality", "skew", "service_level")
    }  # fmt: skip
    days = {graph.get(dg.AssetKey(["taxi_tips", name])).partitions_def for name in ("predictions", "drift", "quality")}
    assert [each.end for each in days] == [None], "asked long after the last trip"


def test_a_range_of_days_can_be_launched_by_hand(graph: Any) -> None:
    from ml_assets.defs.jobs import asset_jobs

    refused = {
        f"{name}: {key.to_user_string()}"
        for name, job in asset_jobs(load_settings()).items()
        for key in job.selection.resolve(graph)
        if graph.get(key).backfill_policy != dg.BackfillPolicy.single_run()  # `dg launch --partition-range` asks that
    }
    assert {each for each in refused if not each.split(":")[0].endswith("collect")} == set()


def test_deployment_descends_from_the_raw_events(graph: Any) -> None:
    selection = dg.AssetSelection.assets(dg.AssetKey([MODEL, "deployment"])).upstream()
    upstream = {key.to_user_string() for key in selection.resolve(graph)}
    assert {"shop/events", "stg_events", "feat_customer_product", "feast/online_store", f"{MODEL}/champion"} <= upstream


def test_every_asset_says_what_it_is_and_whose(graph: Any) -> None:
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    assert [node.key for node in nodes if not node.description] == []
    assert [node.key for node in nodes if not node.owners] == []
    assert [node.key for node in nodes if not node.kinds] == []
    assert [node.key for node in nodes if node.group_name == "default"] == []


def test_gates_are_checks_that_block(graph: Any) -> None:
    blocking = {
        f"{key.asset_key.to_user_string()}:{key.name}"
        for key in graph.asset_check_keys
        if graph.get_check_spec(key).blocking
    }
    assert {
        "shop/events:quarantine_within_limit",
        "shop/events:nothing_lost",
        "feast/online_store:offline_equals_online",
        *(f"{spec.name}/{name}" for spec in model_specs() for name in ("training_set:no_leak", "deployment:answers")),
        *(f"{source}/online_store:offline_equals_online" for source in sources_of_models()),
    } <= blocking


def test_data_tests_of_dbt_are_asset_checks(graph: Any) -> None:
    checked = {key.asset_key.to_user_string() for key in graph.asset_check_keys}
    assert {"stg_events", "feat_customer", "feat_product", "mart_recommendation_spine"} <= checked


def test_loading_imports_nothing_heavy(graph: Any, home: Path) -> None:
    code = (
        "import json, sys; from ml_assets.definitions import defs; defs().get_repository_def();"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True,
        env={"ML_ASSETS_HOME": str(home), "PATH": str(Path(sys.executable).parent), "HOME": str(home)},
    )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_a_day_of_another_source_renews_what_serves_and_trains_nothing(graph: Any) -> None:
    from ml_assets.defs.jobs import asset_jobs

    for source in sources_of_models():
        selected = {
            key.to_user_string() for key in asset_jobs(load_settings())[f"{source}_daily"].selection.resolve(graph)
        }
        serving = ("service", "deployment", "batch_predictions")
        models = {f"{spec.name}/{name}" for spec in model_specs(source) for name in serving}
        assert selected == models | keys(graph, source) | {"feast/definitions"}


def test_tags_say_what_each_asset_belongs_to(graph: Any) -> None:
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    sources = {node.key: node.tags.get("ml_assets/source") for node in nodes}
    taxis = keys(graph, "chicago_taxi") | keys(graph, "taxi_tips") | keys(graph, "taxi_tips_monitoring")
    assert {key.to_user_string() for key, source in sources.items() if source == "chicago_taxi"} == taxis
    assert set(sources.values()) == {"chicago_taxi", "shop"}
    for model in ("taxi_tips", MODEL):
        of = {node.key.to_user_string() for node in nodes if node.tags.get("ml_assets/model") == model}
        watching = {node.key.to_user_string() for node in nodes if node.tags.get("ml_assets/watches") == model}
        assert of == keys(graph, model) | keys(graph, f"{model}_monitoring")
        assert watching == keys(graph, f"{model}_monitoring")


def test_each_asset_can_be_selected_alone(graph: Any) -> None:
    from ml_assets.definitions import defs

    repository, alone = defs().get_repository_def(), {}
    for key in graph.get_all_asset_keys():
        job = repository.get_implicit_job_def_for_assets([key])  # as `dagster asset materialize --select` does
        assert job is not None
        alone[key] = job.get_subset(asset_selection={key}).asset_layer.selected_asset_keys
    assert alone == {key: {key} for key in graph.get_all_asset_keys()}
    assert len(alone) > 50
