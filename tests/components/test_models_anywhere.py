"""A model is whole wherever its YAML lies: in any folder, beside another in one file, with templates in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from project_copy import copy_project, python

TOLD = """
import json, sys
import dagster as dg
from ml_assets.definitions import defs

repository = defs().get_repository_def()
graph, jobs = repository.asset_graph, {job.name: job for job in repository.get_all_jobs()}
sensors = {each.name: [target.job_name for target in each.targets] for each in repository.sensor_defs}
schedules = {each.name: [each.job.name] for each in repository.schedule_defs}

def known(model):
    keys = [key for key in graph.get_all_asset_keys() if key.path[0] == model]
    def said(texts):
        return sorted(str(text).replace("mart_taxi_tips_spine", "SPINE").replace(model, "MODEL") for text in texts)
    def named(found):
        return said(key.to_user_string() for key in found if key in keys)
    def parts(key):
        node = graph.get(key)
        policy = node.freshness_policy_or_from_metadata
        return {"group": node.group_name, "upstream": said(node.parent_keys),
                "partitions": str(node.partitions_def), "kinds": sorted(node.kinds),
                "tags": {name: value for name, value in node.tags.items() if name.startswith("ml_assets/")},
                "freshness": str(policy), "backfill": str(node.backfill_policy)}
    in_jobs = {name: job.asset_layer.executable_asset_keys for name, job in jobs.items() if not name.startswith("__")}
    told = {
        "assets": {key.to_user_string(): parts(key) for key in keys},
        "checks": said(each for each in graph.asset_check_keys
                       if each.asset_key in keys or each.name.startswith(f"{model}_")),
        "jobs": {name: named(found) for name, found in in_jobs.items() if named(found)},
        "targets": {name: sorted({each for job in of for each in named(in_jobs.get(job, ()))})
                    for name, of in {**sensors, **schedules}.items()},
    }
    return json.loads(json.dumps(told).replace(model, "MODEL"))

print(json.dumps({model: known(model) for model in sys.argv[1:]}))
"""
ELSEWHERE = {
    "taxi_tips": ("deep_tips", "first_tips", "second_tips", "templated_tips"),
    "product_recommender": ("deep_ranker", "second_ranker", "templated_ranker"),
}
"""What is like the model in the usual place."""


def like(project: Path, usual: str, name: str, offset: int | str) -> str:
    """A component's document like that of a model in the usual place."""
    said = yaml.safe_load((project / f"ml_assets/defs/models/{usual}/defs.yaml").read_text())
    said["attributes"]["name"] = name
    said["attributes"]["serving"] |= {"port_offset": offset, "route": f"/{name}"}
    return yaml.safe_dump(said, sort_keys=False)


def put(project: Path, path: str, *documents: str) -> Path:
    file = project / "ml_assets/defs" / path
    file.parent.mkdir(parents=True)
    file.write_text("---\n".join(documents))
    return file


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = copy_project(tmp_path_factory.mktemp("project"))
    put(made, "anywhere/deep/defs.yaml", like(made, "taxi_tips", "deep_tips", 41))
    put(made, "any/ranker/defs.yaml", like(made, "product_recommender", "deep_ranker", 42))
    put(made, "two/defs.yaml", *(like(made, "taxi_tips", f"{n}_tips", 43 + len(n)) for n in ("first", "second")))
    put(made, "both/defs.yaml",
        like(made, "product_recommender", "second_ranker", 51),
        like(made, "product_recommender", "templated_ranker", "{{ env('RANKER_OFFSET', '52') }}"))  # fmt: skip
    put(made, "templated/defs.yaml", like(made, "taxi_tips", "{{ env.TIPS_NAME }}", "{{ env('TIPS_OFFSET', '53') }}"))
    return made


@pytest.fixture(scope="module")
def told(project: Path) -> dict[str, Any]:
    """What the definitions have of each model."""
    names = [name for usual, others in ELSEWHERE.items() for name in (usual, *others)]
    done = python(project, "-c", TOLD, *names, TIPS_NAME="templated_tips")
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(("usual", "name"), [(usual, each) for usual, names in ELSEWHERE.items() for each in names])
def test_a_model_elsewhere_has_all_that_one_in_the_usual_place_has(told: dict[str, Any], usual: str, name: str) -> None:
    for what in ("assets", "checks", "jobs", "targets"):
        assert told[name][what] == told[usual][what]
    jobs = told[name]["jobs"]
    expected = {"retrain", "train", "daily", "release", "collect"}
    beside = {f"chicago_taxi_{job}" for job in ("train", "daily", "watch", "collect")}
    assert set(jobs) == (expected if usual == "product_recommender" else {"retrain", *beside})
    assert "MODEL/deployment" in told[name]["targets"]["drift_sensor"]
    assert told[name]["assets"]["MODEL/champion"]["tags"]


def test_a_mistake_in_the_second_document_is_told_with_its_line(project: Path) -> None:
    file = project / "ml_assets/defs/two/defs.yaml"
    before = file.read_text()
    at = before.index("second_tips")
    file.write_text(before[:at] + before[at:].replace("horizon_days", "horizon_dais", 1))
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "horizon_dais" in text)
    try:
        done = python(project, "-c", "from ml_assets.definitions import defs; defs()", TIPS_NAME="templated_tips")
    finally:
        file.write_text(before)
    assert f"{file}:{line}: attributes.horizon_dais: there is no such key; did you mean 'horizon_days'?" in done.stderr
