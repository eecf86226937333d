"""A model is trained again for code it learns from, and for no other: comments, other tables, other features."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.config.model_spec import ModelSpec, Task, model_spec
from ml_assets.config.settings import PROJECT
from ml_assets.datasets.code import (
    BESIDE,
    OF_EVENTS,
    OF_RANKINGS,
    data_code,
    evaluation_code,
    python_meaning,
    recorded_before,
    sql_meaning,
    training_code,
    version_of,
)

SHOP = model_spec("product_recommender")
RIDES = ModelSpec(
    name="rides", description="Whether a ride is long.", task=Task.BINARY, spine="mart_yard", feature_service="rides",
    entity="ride_id", time="asked_at", label="long",
)  # fmt: skip
"""A model of the shop, and one of a source beside it."""
OWN = {
    "dbt_project/models/yard/stg_rides.sql": "select * from {{ source('yard', 'rides') }}",
    "dbt_project/models/yard/mart_yard.sql": "select * from {{ ref('stg_rides') }}",
    "dbt_project/models/yard/feat_gate.sql": "{{ windows_of(ref('stg_rides'), 'gate', {'rides': 'bigint'}, [28]) }}",
    "feature_repo/features/yard.yaml": (
        "entities: {gate: {key: gate, description: d}}\n"
        "views: {gate: {table: feat_gate, entities: [gate], description: d, features: {rides_28d: int}}}\n"
        "services: {rides: {views: [gate], description: d}}\n"
    ),
}
FRAMES = {"macro day_frames", "macro window_sums"}
TRANSFORMS, BOOSTER = {"py feature_repo.transforms"}, {"py ml_assets.training.booster"}


def copied(source: Path, folder: Path) -> Path:
    """The sources of a project."""
    for name in ("dbt_project", "feature_repo", "ml_assets"):
        ignored = shutil.ignore_patterns("__pycache__", "target", "logs")
        shutil.copytree(source / name, folder / name, ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the project, with a source of its own beside the shop."""
    made = copied(PROJECT, tmp_path_factory.mktemp("untouched"))
    for name, text in OWN.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    return made


@pytest.fixture
def project(untouched: Path, tmp_path: Path) -> Path:
    """The same, to be edited."""
    return copied(untouched, tmp_path / "edited")


def edited(project: Path, file: str, change: Callable[[str], str]) -> Path:
    path = project / file
    path.write_text(change(path.read_text()))
    return project


@pytest.fixture
def changes(untouched: Path, project: Path) -> Callable[[ModelSpec], set[str]]:
    """What differs for a model between the project as it was and as it was edited."""

    def differ(spec: ModelSpec) -> set[str]:
        then, now = ({**data_code(spec, root), **training_code(root)} for root in (untouched, project))
        return {name for name in {*then, *now} if then.get(name) != now.get(name)}

    return differ


@pytest.mark.parametrize("spec", [RIDES, SHOP], ids=["rides", "shop"])
@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("dbt_project/models/features/feat_customer.sql", lambda text: f"-- a comment, isn't it\n{text}"),
        ("dbt_project/models/yard/stg_rides.sql", lambda text: "{# said #}\n\n" + text + "\n\n"),
        ("dbt_project/macros/windows.sql", lambda text: text + "\n{# more #}\n"),
        ("dbt_project/macros/exact.sql", lambda text: text.replace("{{", "{{ ")),
        ("ml_assets/datasets/build.py", lambda text: text + "\n# a comment\n"),
        ("ml_assets/training/train.py", lambda text: text.replace('"""Train', '"""Really train', 1)),
        ("ml_assets/storage/files.py", lambda text: text + "\nMORE = 1\n"),
        ("ml_assets/config/settings.py", lambda text: text + "\nMORE = 1\n"),
        ("feature_repo/features/yard.yaml", lambda text: "# a comment\n" + text),
    ],
)
def test_what_no_model_reads_differently_retrains_none(project, changes, spec, file, change):
    edited(project, file, change)
    assert changes(spec) == set()


def test_a_new_table_and_a_new_macro_retrain_nobody(project, changes):
    models = project / "dbt_project" / "models" / "own"
    models.mkdir()
    (models / "feat_own.sql").write_text("select 1 as one from {{ ref('stg_events') }}")
    (project / "dbt_project" / "macros" / "own.sql").write_text("{% macro own() %} 1 {% endmacro %}")
    assert [changes(spec) for spec in (RIDES, SHOP)] == [set(), set()]


@pytest.mark.parametrize(
    ("edit", "rides", "shop"),
    [
        (("dbt_project/models/yard/stg_rides.sql", "select", "select 1 as one,"), {"sql stg_rides"}, set()),
        (("dbt_project/models/features/feat_product.sql", "select", "select 1 as one,"), set(), {"sql feat_product"}),
        (("dbt_project/macros/windows.sql", "last_", "newest_"), FRAMES, FRAMES),
        (("dbt_project/dbt_project.yml", "horizon_days: 7", "horizon_days: 8"), set(), {"var horizon_days"}),
        (("feature_repo/transforms.py", "import numpy as np", "import numpy as np\n\nMORE = 1"), set(), TRANSFORMS),
        (("ml_assets/training/booster.py", '"lambdarank"', '"rank_xendcg"'), BOOSTER, BOOSTER),
    ],
)
def test_what_a_model_learns_from_is_named_and_the_others_stay(project, changes, edit, rides, shop):
    file, old, new = edit
    edited(project, file, lambda text: text.replace(old, new, 1) if "macros" not in file else text.replace(old, new))
    assert (changes(RIDES), changes(SHOP)) == (rides, shop)


def test_another_models_feature_is_nobody_elses(project, changes):
    edited(project, "feature_repo/features/yard.yaml", lambda text: text.replace(": int", ": float", 1))
    assert changes(RIDES) == {"features rides"}
    assert changes(SHOP) == set()


def test_a_module_that_is_imported_from_now_on_counts(project, changes):
    (project / "ml_assets" / "datasets" / "more.py").write_text("MORE = 1\n")
    edited(
        project,
        "ml_assets/datasets/cutoffs.py",
        lambda text: text.replace(
            "import pyarrow", "from ml_assets.datasets.more import MORE  # noqa\nimport pyarrow", 1
        ),
    )
    assert changes(RIDES) == {"py ml_assets.datasets.cutoffs", "py ml_assets.datasets.more"}


def test_what_is_left_out_is_there():
    named = (*BESIDE, *OF_EVENTS, *OF_RANKINGS)
    files = [PROJECT.joinpath(*name.split(".")) for name in named]
    assert [file for file in files if not (file.is_dir() or file.with_suffix(".py").is_file())] == []


def test_pages_and_gate_are_of_the_evaluation_and_of_nothing_else(project, changes):
    edited(project, "ml_assets/evaluation/templates/report.html", lambda text: text + "<p>more</p>")
    assert version_of(evaluation_code(project)) != version_of(evaluation_code())
    assert changes(SHOP) == set()


WORDS = st.sampled_from(["select", "a", "'-- no comment'", '"/* name */"', "from", "'it''s'", "{{ ref('x') }}", "1"])
BREAKS = st.sampled_from([" ", "\n", "\n\n  ", " -- it's a comment\n", " /* two\nlines */ ", " {# jinja's #} "])


@given(st.lists(WORDS, min_size=1, max_size=8), st.data())
def test_only_words_count_in_sql(words: list[str], data: st.DataObject):
    breaks = [data.draw(BREAKS) for _ in words]
    assert sql_meaning("".join(f"{word}{between}" for word, between in zip(words, breaks, strict=True))) == " ".join(
        words
    )


def test_only_statements_count_in_python():
    plain = "def f(x):\n    return x + 1\n"
    assert python_meaning('"""Said."""\n\n\ndef f(x):  # why\n    """Says."""\n    return (x + 1)\n') == python_meaning(
        plain
    )
    assert python_meaning(plain.replace("1", "2")) != python_meaning(plain)


def test_parts_recorded_by_files_are_known():
    assert recorded_before({"ml_assets/learning/train.py": "0"})
    assert not recorded_before(data_code(SHOP))
