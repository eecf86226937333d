"""A model's YAML: what each task takes, what is refused and how that is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ml_assets.config.component_files import components
from ml_assets.config.model_spec import (
    RECORDED,
    GateSpec,
    ModelSpec,
    ServingSpec,
    SplitSpec,
    Task,
    models,
    read_model,
)
from ml_assets.config.yaml_file import ConfigError, Part
from ml_assets.datasets.fingerprint import described
from ml_assets.datasets.provenance import Provenance
from ml_assets.schemas import FOLDER, schemas
from ml_assets.validate.models import check_features, check_spec


def given(**changes: Any) -> dict[str, Any]:
    base = {"name": "tips", "description": "d", "spine": "mart_tips_spine", "feature_service": "tips"}
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
        ({"task": "ranking", "relevance_threshold": 31}, "relevance_threshold.*labels of 0 to 30"),
        (
            {"task": "ranking", "relevance_threshold": 3, "training": {"params": {"label_gain": [0, 1, 3]}}},
            "labels of 0 to 2",
        ),
        ({"retrieval": {"total": 50}}, "retrieval\n  only for rankings"),
        ({"task": "ranking", "request_features": ["fare"]}, "request_features\n  only for binary and regression"),
        (
            {"request_features": ["fare", "tips"], "post_outcome_columns": ["tips"]},
            "tips is known only after the event",
        ),
        ({"request_features": ["label"]}, "'label' is the label"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ModelSpec.model_validate(given(**changes))


NO_RANKING = {
    "item": "product_id", "relevance_threshold": 3, "revenue": None, "retrieval": {}, "release": {"enabled": False},
    "split": {"customers": 1000}, "training": {"negatives": 40}, "retraining": {"split": {"customers": 500}},
    "monitoring": {"quality": {"outcomes": "events"}},
}  # fmt: skip
NO_LISTS = {"k": 10, "max_k": 50, "exploration": 0.0, "holdback": 0.1}


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("said", [*({key: value} for key, value in NO_RANKING.items()), {"serving": NO_LISTS}])
def test_a_key_that_does_nothing_is_refused_whatever_it_says(task: str, said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=f"only for rankings, and task is {task}: take it out") as refused:
        ModelSpec.model_validate(given(task=task, **said))
    assert {each["loc"][0] for each in refused.value.errors()} == set(said)
    assert len(refused.value.errors()) == (len(NO_LISTS) if "serving" in said else 1)


@pytest.mark.parametrize(
    "said",
    [
        {"request_features": []}, {"post_outcome_columns": []}, {"bootstrap_unit": None}, {"source": "trips"},
        {"training": {"params": {"objective": "binary"}}},
    ],
)  # fmt: skip
def test_a_key_that_does_nothing_for_a_ranking_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="take it out"):
        ModelSpec.model_validate(given(task="ranking", **said))


@pytest.mark.parametrize("task", list(Task))
def test_a_spec_as_a_version_recorded_it_says_everything_and_is_read(task: Task) -> None:
    spec = ModelSpec.model_validate(given(task=task))
    assert ModelSpec.model_validate(spec.model_dump(mode="json"), context=RECORDED) == spec
    assert Provenance(spec=described(spec)).spec_then(spec) == spec


def numbers(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Every field of a model's YAML that is a number."""
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from ((f"{name}.{inner}", each) for inner, each in numbers(kind))
        if {int, float} & {field.annotation, *get_args(field.annotation)}:
            yield name, field


@pytest.mark.parametrize(
    ("name", "field"), [pytest.param(*each, id=each[0]) for each in numbers(ModelSpec) if each[0] != "release.steps"]
)
def test_every_number_has_a_least_and_a_largest_value(name: str, field: FieldInfo) -> None:
    said = [type(each).__name__ for each in field.metadata]
    assert {"Ge", "Gt"} & {*said}, f"{name}: -5 must not pass"
    assert {"Le", "Lt"} & {*said} or name == "relevance_threshold", f"{name}: 1e300 must not pass"


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"monitoring": {"drift": {"needed": 4, "windows": 3}}}, "can never drift"),
        ({"monitoring": {"drift": {"min_reference_days": 40}}}, "nothing would ever be judged"),
        ({"serving": {"route": "tips"}}, "should match pattern"),
        ({"serving": {"route": "/readyz"}}, "the server's own page"),
    ],
)
def test_what_could_never_happen_is_refused(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ModelSpec.model_validate(given(**section))


def test_every_model_of_this_deployment_names_what_exists() -> None:
    for spec, part in models().values():
        check_spec(spec, part)


RETURNED = """
type: ml_assets.components.TrainedModel
attributes:
  name: returned
  description: Whether something comes back.
  task: binary
  source: shop
  spine: mart_recommendation_spine
  feature_service: product_recommender
  entity: product_id
  time: decision_ts
  label: label
  request_features: [revenue]
  serving:
    port_offset: 97
  gate:
    metric: average_precision
"""
"""A model of events, on the shop's own tables."""


def described_by(file: Path) -> tuple[ModelSpec, Part]:
    """The only model of a file, and where it is said."""
    (component,) = components(file, file.parents[1])
    return read_model(component), component.part


@pytest.fixture
def returned(tmp_path: Path) -> Path:
    (tmp_path / "returned").mkdir()
    file = tmp_path / "returned" / "defs.yaml"
    file.write_text(RETURNED)
    return file


def test_a_model_of_what_exists_is_refused_nothing(returned: Path) -> None:
    check_spec(*described_by(returned))


@pytest.mark.parametrize(
    ("changes", "key", "said"),
    [
        ({"feature_service": "returns"}, "feature_service", "there is no 'returns'; allowed: product_recommender"),
        ({"source": "elsewhere"}, "source", "there is no source 'elsewhere'; allowed: shop"),
        ({"spine": "mart_recommend_spine"}, "spine", "did you mean mart_recommendation_spine"),
        ({"label": "lable"}, "label", "mart_recommendation_spine has no column lable"),
        ({"request_features": ("revenue", "wind")}, "request_features", "mart_recommendation_spine has no column wind"),
        (
            {"spine": "mart_products"},
            "feature_service",
            "no column customer_id, by which the features of product_recommender are read",
        ),
    ],
)
def test_a_name_that_does_not_exist_is_told_with_file_line_and_key(
    returned: Path, changes: dict[str, Any], key: str, said: str
) -> None:
    spec = described_by(returned)[0].model_copy(update=changes)
    with pytest.raises(ConfigError) as told:
        check_spec(spec, described_by(returned)[1])
    assert f"{returned}:{line_of(returned, key)}: attributes.{key}: " in str(told.value)
    assert said in str(told.value)


def line_of(file: Path, key: str) -> int:
    """The line that says a key."""
    return next(n for n, text in enumerate(file.read_text().splitlines(), 1) if text.strip().startswith(f"{key}:"))


@pytest.mark.parametrize(
    ("changes", "key", "said"),
    [
        ({"gate": GateSpec(metric="ndcg_10")}, "gate.metric", "a binary model can have average_precision"),
        ({"serving": ServingSpec()}, "serving.port_offset", "port_offset 0 is product_recommender's already"),
    ],
)
def test_what_a_section_says_must_fit_the_task_and_the_other_models(
    returned: Path, changes: dict[str, Any], key: str, said: str
) -> None:
    spec = described_by(returned)[0].model_copy(update=changes)
    with pytest.raises(ConfigError) as told:
        check_spec(spec, described_by(returned)[1])
    assert said in str(told.value)
    assert f"{returned}:{line_of(returned, key.split('.')[1])}: attributes.{key}: " in str(told.value)


def test_the_schemas_for_editors_are_current() -> None:
    for name, schema in schemas().items():
        kept = json.loads((FOLDER / name).read_text())
        assert kept == json.loads(json.dumps(schema)), f"{name}: run `python -m ml_assets schemas`"


def test_files_name_their_schema(pytestconfig: pytest.Config) -> None:
    for path in {part.file for _, part in models().values()}:
        first = path.read_text().splitlines()[0]
        named = Path(first.partition("$schema=")[2])
        assert (path.parent / named).resolve() == FOLDER / "model.json"
        allowed = schemas()["model.json"]["properties"]["attributes"]["properties"]
        assert set(yaml.safe_load(path.read_text())["attributes"]) <= set(allowed)


def test_a_horizon_that_dbt_does_not_have_is_told_with_both_places() -> None:
    spec, part = models()["product_recommender"]
    spec = spec.model_copy(update={"horizon_days": 14})
    with pytest.raises(ConfigError, match=r"horizon_days: 14 here.*form in 7 days: .*dbt_project\.yml:\d+: vars"):
        check_spec(spec, part)


def test_a_split_that_no_calendar_has_is_told_with_one_that_fits(
    returned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calendar = SimpleNamespace(start=date(2026, 1, 1), end=date(2026, 1, 1) + timedelta(days=199))
    short = {"returns": SimpleNamespace(calendar=calendar)}
    monkeypatch.setattr("ml_assets.validate.models.sources_beside", lambda: short)
    split = SplitSpec(train=400, validation=60, test=150, holdout=20)
    spec = described_by(returned)[0].model_copy(update={"source": "returns", "horizon_days": 1, "split": split})
    with pytest.raises(ConfigError, match=r"split: .* at most 200 decisions .*say what fits: split: (\{.*\})") as told:
        check_spec(spec, described_by(returned)[1])
    fits = yaml.safe_load(str(told.value).split("split: ")[-1])
    check_spec(spec.model_copy(update={"split": SplitSpec.model_validate(fits)}), described_by(returned)[1])


VIEWS = """
entities:
  buyer: {key: customer_id, description: Who buys.}
views:
  buyer:
    table: feat_customer
    entities: [buyer]
    description: What is known of a customer.
    features:
      sessions_28d: int
services:
  returned: {views: [buyer], description: Features of the model returned.}
"""


def test_a_feature_that_its_table_lacks_is_told_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(VIEWS)
    check_features(folder=tmp_path)
    file = tmp_path / "wrong" / "own.yaml"
    file.parent.mkdir()
    file.write_text(VIEWS.replace("sessions_28d", "sessions_29d"))
    with pytest.raises(ConfigError) as told:
        check_features(folder=file.parent)
    line = line_of(file, "sessions_29d")
    said = f"{file}:{line}: views.buyer.features.sessions_29d: the table feat_customer has no"
    assert str(told.value).startswith(said)
    assert "did you mean 'sessions_" in str(told.value)
    file = tmp_path / "other" / "own.yaml"
    file.parent.mkdir()
    file.write_text(VIEWS.replace("feat_customer", "feat_custmer"))
    with pytest.raises(ConfigError, match=r"views\.buyer\.table: there is no .*mean 'feat_customer'"):
        check_features(folder=file.parent)


@pytest.mark.parametrize(
    ("sql", "refused"),
    [
        ("select company, event_timestamp, count(*) as trips_28d from {{ ref('x') }}", {"trips_90d"}),
        ("select * from {{ ref('x') }}", set()),
        ("{{ made_by_a_macro() }}", set()),
    ],
)
def test_a_table_that_nobody_documents_is_judged_by_its_sql(tmp_path: Path, sql: str, refused: set[str]) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "feat.sql").write_text(sql)
    (tmp_path / "own.yaml").write_text(
        "entities: {company: {key: company, description: d}}\n"
        "views: {v: {table: feat, entities: [company], description: d, features: {trips_28d: int, trips_90d: int}}}\n"
        "services: {s: {views: [v], description: d}}\n"
    )
    try:
        check_features(tmp_path / "models", tmp_path)
        told = ""
    except ConfigError as error:
        told = str(error)
    assert {line.split(": ")[1].rsplit(".", 1)[-1] for line in told.splitlines()} == refused
