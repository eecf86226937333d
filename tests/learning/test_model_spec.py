"""A model's YAML: what each task takes, what is refused and how that is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from ml_assets.learning.spec import MODELS, GateSpec, ModelSpec, ServingSpec, Task, load_model_spec, model_specs
from ml_assets.learning.spec_checks import SpecError, check_spec
from ml_assets.schemas import FOLDER, schemas

TAXI = MODELS / "taxi_tips" / "defs.yaml"


def given(**changes: Any) -> dict[str, Any]:
    base = {"name": "tips", "description": "d", "spine": "mart_taxi_tips_spine", "feature_service": "taxi_tips"}
    return {**base, "task": "binary", **changes}


def test_defaults_fit_the_task() -> None:
    binary, number = (ModelSpec.model_validate(given(task=task)) for task in ("binary", "regression"))
    assert (binary.gate.metric, binary.serving.route) == ("average_precision", "/tips")
    assert (number.gate.metric, number.task) == ("rmse", Task.REGRESSION)
    assert ModelSpec.model_validate(given(gate={"metric": "auc"})).gate.metric == "auc"
    assert ModelSpec.model_validate(given(gate=GateSpec(draws=200))).gate.metric == "average_precision"
    assert ModelSpec.model_validate(given(serving={"workers": 2})).serving.route == "/tips"
    assert ModelSpec.model_validate(given(task="ranking")).gate.metric == "ndcg_10"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "binray"}, "'ranking', 'binary' or 'regression'"),
        ({"splt": {}}, "splt"),
        ({"retrieval": {"total": 50}}, "retrieval: only for rankings"),
        ({"task": "ranking", "request": ["fare"]}, "request: only for binary and regression"),
        ({"request": ["fare", "tips"], "known_after": ["tips"]}, "tips is known only after the event"),
        ({"request": ["label"]}, "'label' is the label"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ModelSpec.model_validate(given(**changes))


def test_every_model_of_this_deployment_names_what_exists() -> None:
    for spec in model_specs():
        check_spec(spec, MODELS / spec.name / "defs.yaml")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"feature_service": "taxi_tip"},
            "feature_service: there is no 'taxi_tip'; allowed: product_recommender, taxi_",
        ),
        ({"source": "chicago"}, "source: there is no source 'chicago'; allowed: shop, chicago_taxi"),
        ({"spine": "mart_taxi_spine"}, "did you mean mart_taxi_tips_spine"),
        ({"label": "tiped"}, "label: mart_taxi_tips_spine has no column tiped"),
        ({"request": ("fare", "wind")}, "request: mart_taxi_tips_spine has no column wind"),
    ],
)
def test_a_name_that_does_not_exist_is_told_with_file_line_and_key(changes: dict[str, Any], said: str) -> None:
    spec = load_model_spec(TAXI).model_copy(update=changes)
    (key,) = changes
    line = next(n for n, text in enumerate(TAXI.read_text().splitlines(), 1) if text.strip().startswith(f"{key}:"))
    with pytest.raises(SpecError) as told:
        check_spec(spec, TAXI)
    assert said in str(told.value)
    assert f"{TAXI}:{line}: {key}" in str(told.value)


@pytest.mark.parametrize(
    ("changes", "line", "said"),
    [
        (
            {"gate": GateSpec(metric="ndcg_10")},
            "metric: average_precision",
            "a binary model can have average_precision",
        ),
        ({"serving": ServingSpec()}, "port_offset: 10", "serving.port_offset 0 is product_recommender's already"),
    ],
)
def test_what_a_section_says_must_fit_the_task_and_the_other_models(
    changes: dict[str, Any], line: str, said: str
) -> None:
    spec = load_model_spec(TAXI).model_copy(update=changes)
    at = next(n for n, text in enumerate(TAXI.read_text().splitlines(), 1) if text.strip().startswith(line))
    with pytest.raises(SpecError) as told:
        check_spec(spec, TAXI)
    assert said in str(told.value)
    assert f"{TAXI}:{at}: {line.partition(':')[0]}" in str(told.value)


def test_the_schemas_for_editors_are_current() -> None:
    for name, schema in schemas().items():
        kept = json.loads((FOLDER / name).read_text())
        assert kept == json.loads(json.dumps(schema)), f"{name}: run `python -m ml_assets schemas`"


def test_files_name_their_schema(pytestconfig: pytest.Config) -> None:
    for path in MODELS.glob("*/defs.yaml"):
        first = path.read_text().splitlines()[0]
        named = Path(first.partition("$schema=")[2])
        assert (path.parent / named).resolve() == FOLDER / "model.json"
        allowed = schemas()["model.json"]["properties"]["attributes"]["properties"]
        assert set(yaml.safe_load(path.read_text())["attributes"]) <= set(allowed)
