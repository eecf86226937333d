"""What is decided about a file: roles of its columns, label, split, sizes; and what stops it."""

from __future__ import annotations

import random
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tables import bare_project, column, events, scaffolded, tree, write_csv, write_parquet

from feature_repo.declared import FeatureFile
from ml_assets.config.component_files import components
from ml_assets.config.model_spec import ModelSpec, read_model
from ml_assets.config.yaml_file import ConfigError, read_yaml
from ml_assets.datasets.split import split_decisions
from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.sizes import LEAST_DAYS, cut, windows_of
from ml_assets.validate.models import check_spec


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return bare_project(tmp_path / "project")


def written(project: Path, model: str) -> ModelSpec:
    """The model that was scaffolded, as the definitions would read it."""
    defs = project / "ml_assets/defs"
    [component] = components(defs / "models" / model / "defs.yaml", defs)
    return read_model(component)


def test_each_column_has_its_role(project: Path, tmp_path: Path) -> None:
    rows = events(
        clinic=lambda draw, row: draw.choice(["eyes", "skin"]),
        paid=lambda draw, row: draw.choice(["Yes", "No"]),
        minutes=lambda draw, row: 0 if row["late"] else draw.randint(5, 30),
        seen_at=lambda draw, row: row["at"],
        note=lambda draw, row: f"{draw.random()}x",
        price=lambda draw, row: draw.random(),
        bill=lambda draw, row: draw.random(),
        country=lambda draw, row: "NL",
    )
    made, _ = scaffolded(project, write_parquet(tmp_path / "visits.parquet", rows), known_after=["bill"])
    assert (made.event, made.request, made.slices) == ("id", ("age", "paid", "price"), ("clinic",))
    assert (made.known_after, made.leaking) == (("bill", "minutes"), ("minutes",))
    said = "\n".join(made.notes)
    assert "WARNING minutes alone tells late (1.000)" in said
    assert "one value only: country" in said
    assert "not learned from: seen_at, note" in said
    assert "country" not in (project / "sources/visits.yaml").read_text()
    assert set(made.example) == {"event", "person", "age", "paid", "price"}
    assert made.example["event"] in {str(row["id"]) for row in rows}


@pytest.mark.parametrize(
    ("values", "flags", "ones"),
    [
        ((0, 1), {}, 1),
        (("No", "yes"), {}, "yes"),
        ((True, False), {}, True),
        (("paid", "open"), {"positive": "open"}, "open"),
        ((1, 2), {"positive": "2.0"}, 2),
    ],
)
def test_a_binary_label_is_0_or_1(
    project: Path, tmp_path: Path, values: tuple[Any, Any], flags: dict[str, str], ones: Any
) -> None:
    rows = [row | {"late": values[row["late"]]} for row in events()]
    made, _ = scaffolded(project, write_csv(tmp_path / "visits.csv", rows), **flags)
    share = sum(row["late"] == ones for row in rows) / len(rows)
    assert made.label_mean == pytest.approx(share, rel=0.05)


@pytest.mark.parametrize("words", [("0", "1.0", "0.0", "1"), ("no", "Yes", "NO", "yes"), ("0", "true", "false", "1")])
def test_a_label_is_binary_however_its_two_values_are_written(
    project: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    rows = [row | {"late": words[row["late"] + 2 * (number % 2)]} for number, row in enumerate(events())]
    made, _ = scaffolded(project, write_csv(tmp_path / "visits.csv", rows))
    assert made.label_mean == pytest.approx(sum(row["late"] for row in events()) / len(rows), rel=0.05)
    assert not [note for note in made.notes if note.startswith("late is")]


def test_a_regression_of_two_numbers_is_asked_about(project: Path, tmp_path: Path) -> None:
    made, _ = scaffolded(project, write_csv(tmp_path / "visits.csv", events()), task="regression")
    assert "late has two values, 0 and 1: --task binary says how likely one of them is" in made.notes


@pytest.mark.parametrize(
    ("label", "given", "said"),
    [
        (lambda row: 1, {}, "one value"),
        (lambda row: row["id"] % 3, {}, "3 values .*--task regression"),
        (lambda row: "ab"[row["late"]], {}, "--positive"),
        (lambda row: "ab"[row["late"]], {"positive": "c"}, "a or b|b or a"),
        (lambda row: "ab"[row["late"]], {"task": "regression"}, "predicts a number"),
        (lambda row: ("no", "Yes")[row["late"]], {"task": "regression"}, "is Yes or no: .*--task binary|no or Yes: "),
        (lambda row: row["id"] % 40, {}, r"40 values \("),
        (lambda row: "maybe" if row["id"] % 9 == 0 else row["late"], {}, r"3 values \(maybe, "),
        (lambda row: 7, {"task": "regression"}, "one value"),
        (lambda row: 7, {"task": "ranking"}, "docs/how-to"),
        (lambda row: 7, {"task": "survival"}, "binary or regression"),
    ],
)
def test_a_label_that_does_not_do_is_refused(
    project: Path, tmp_path: Path, label: Any, given: dict[str, str], said: str
) -> None:
    before = tree(project)
    file = write_csv(tmp_path / "visits.csv", [row | {"late": label(row)} for row in events()])
    with pytest.raises(ScaffoldError, match=said):
        scaffolded(project, file, **given)
    assert tree(project) == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"label": "lateness"}, "no column 'lateness'.*\n.*id  .*whole number"),
        ({"label": None, "time": None}, "say --time, --label; the columns of visits.csv are"),
        ({"entity": ["at"]}, "named twice"),
        ({"name": "My Model"}, "lower-case"),
        ({"source": "lateness"}, "two names"),
        ({"id": "age"}, "no event's id"),
        ({"horizon_days": 0}, "1 or more"),
    ],
)
def test_a_wrong_answer_is_refused(project: Path, tmp_path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ScaffoldError, match=said):
        scaffolded(project, write_csv(tmp_path / "visits.csv", events()), **given)


def test_few_days_are_refused_with_both_numbers(project: Path, tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match=rf"on 10 days.* need {LEAST_DAYS}"):
        scaffolded(project, write_csv(tmp_path / "visits.csv", events(10)))


def test_rows_that_cannot_be_used_are_counted(project: Path, tmp_path: Path) -> None:
    rows = events()
    rows[0] |= {"at": None}
    rows[1] |= {"person": None}
    rows[2] |= {"late": None}
    made, _ = scaffolded(project, write_csv(tmp_path / "visits.csv", rows))
    said = "\n".join(made.notes)
    assert "1 rows have no at" in said
    assert "1 rows have no person" in said
    assert "1 rows have no late" in said
    folder = project / "dbt_project/models/visits"
    spine = (folder / "mart_lateness_spine.yml").read_text()
    assert "Rows without late are no examples" in spine
    assert "columns: [at_value, person]" in spine  # nothing asks for a label that is still forming
    assert "coalesce(person, 'unknown')" in (folder / "stg_visits.sql").read_text()


def test_most_of_a_file_in_quarantine_is_refused(project: Path, tmp_path: Path) -> None:
    rows = events(120, 4)
    late = [row | {"at": None} for row in rows[::2]] + [row | {"person": "x" * 70} for row in rows[1:20:2]]
    with pytest.raises(ScaffoldError, match=r"most of the 480 rows would go to quarantine: 240 without a at.*10 with"):
        scaffolded(project, write_csv(tmp_path / "visits.csv", [*late, *rows[21::2]]))


def test_whole_numbers_with_a_point_may_get_a_fraction(project: Path, tmp_path: Path) -> None:
    rows = events(price=lambda draw, row: float(draw.randint(1, 9)), floor=lambda draw, row: draw.randint(1, 9))
    scaffolded(project, write_parquet(tmp_path / "visits.parquet", rows))
    assert [column(project, name)["type"] for name in ("price", "floor")] == ["DOUBLE", "BIGINT"]


def test_a_word_that_arrives_later_is_not_missing(project: Path, tmp_path: Path) -> None:
    rows = events(paid=lambda draw, row: draw.choice(["Yes", "No", "NA", None]))
    rows = [row | {"late": ["no", "yes"][row["late"]]} for row in rows]
    rows[0]["late"] = None
    scaffolded(project, write_csv(tmp_path / "visits.csv", rows))
    for name, words in (("late", {"yes": "1", "no": "0"}), ("paid", {"Yes": "1", "NO": "0", "NA": None})):
        sql = column(project, name)["from"]
        for word, read in (words | {"maybe": "maybe", "ja": "ja"}).items():
            assert duckdb.sql(f"select {sql} from (select '{word}' as {name})").fetchall() == [(read,)]


@pytest.mark.parametrize(("given", "said"), [({}, True), ({"horizon_days": 1}, False)])
def test_a_horizon_is_not_taken_without_a_word(
    project: Path, tmp_path: Path, given: dict[str, int], said: bool
) -> None:
    made, _ = scaffolded(project, write_csv(tmp_path / "visits.csv", events()), **given)
    assert (made.horizon, any("--horizon-days was not said" in note for note in made.notes)) == (1, said)


def test_a_file_beside_the_project_keeps_its_path(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(tmp_path / "visits.csv", events())
    write_csv(project / "inside.csv", events())
    monkeypatch.chdir(project)
    assert scaffolded(project, Path("../visits.csv"))[0].address == str(tmp_path / "visits.csv")
    assert scaffolded(project, Path("inside.csv"), name="other")[0].address == "{project}/inside.csv"


def test_a_label_known_later_counts_later(project: Path, tmp_path: Path) -> None:
    made, _ = scaffolded(project, write_csv(tmp_path / "visits.csv", events()), horizon_days=5)
    sql = (project / "dbt_project/models/visits/feat_lateness_person.sql").read_text()
    assert "{% set horizon_days = 5 %}" in sql
    assert written(project, "lateness").horizon_days == made.horizon == 5


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_horizon_is_the_same_in_the_yaml_and_in_the_sql(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, horizon: int
) -> None:
    scaffolded(project, write_csv(tmp_path / "visits.csv", events()), horizon_days=horizon)
    own = FeatureFile.model_validate(read_yaml(project / "feature_repo/features/visits.yaml"))
    monkeypatch.setattr("ml_assets.validate.models.service_names", lambda: tuple(own.services))
    monkeypatch.setattr("ml_assets.validate.models.file_of", lambda service: own)
    monkeypatch.setattr("ml_assets.validate.models.sources_beside", lambda: {"visits": SimpleNamespace(calendar=None)})
    models, file = project / "dbt_project/models", project / "ml_assets/defs/models/lateness/defs.yaml"
    (component,) = components(file, file.parents[2])
    check_spec(read_model(component), component.part, models)
    file.write_text(file.read_text().replace(f"horizon_days: {horizon}", "horizon_days: 9"))
    where = re.escape(str(models / "visits/feat_lateness_person.sql"))
    said = rf"defs\.yaml:\d+: attributes\.horizon_days: 9 here, but .* in {horizon} days: {where}:1: horizon_days; make"
    (component,) = components(file, file.parents[2])
    with pytest.raises(ConfigError, match=said):
        check_spec(read_model(component), component.part, models)


@given(days=st.integers(LEAST_DAYS, 2000), horizon=st.integers(1, 14))
def test_a_split_fits_the_days_it_was_cut_for(days: int, horizon: int) -> None:
    import datetime as dt

    from ml_assets.config.model_config import SplitSpec

    first = dt.date(2020, 1, 1)
    calendar = [first + dt.timedelta(days=number) for number in range(days)]
    try:
        parts = cut(days, windows_of(days), horizon)
    except ScaffoldError:
        assert days < LEAST_DAYS + 3 * (horizon - 1)
        return
    found = split_decisions(calendar, SplitSpec.model_validate(parts), first, horizon)
    assert len(found.train) >= 10
    assert (len(found.test), len(found.validation)) == (parts["test"], parts["validation"])


awkward = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n\x00", exclude_categories=["Cs", "Cc"]), max_size=12
)


@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    names=st.lists(awkward.map(str.strip).filter(bool), min_size=1, max_size=6, unique_by=str.lower),
    kinds=st.lists(st.sampled_from(["whole", "number", "flag", "few", "text", "gaps", "same"]), min_size=6, max_size=6),
    seed=st.integers(0, 100),
)
def test_any_columns_become_a_project_that_is_valid(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], kinds: list[str], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    draw = random.Random(seed)
    taken = {
        "id",
        "person",
        "at",
        "age",
        "late",
        "_source",
        "_day",
        "_row",
        "_line",
        "_stray",
        "_path",
        "_raw",
        "_reasons",
    }
    values = {
        "whole": lambda: draw.randint(-5, 5), "number": lambda: draw.gauss(0, 1),
        "flag": lambda: draw.choice(["yes", "No"]), "few": lambda: draw.choice(["a'b", 'c"d', "e: {f}"]),
        "text": lambda: str(draw.random()) + "…",
        "gaps": lambda: draw.choice([None, "NA", 3]), "same": lambda: "x",
    }  # fmt: skip
    more = {name: values[kind] for name, kind in zip(names, kinds, strict=False) if name.lower() not in taken}
    rows = [row | {name: make() for name, make in more.items()} for row in events(40, 3)]
    project = bare_project(folder / "project")
    made, written = scaffolded(project, write_csv(folder / "rows of mine.csv", rows))
    roles = [made.event, made.time, made.label, *(e.key for e in made.entities), *made.request, *made.known_after]
    assert len(set(roles)) == len(roles)
    assert set(made.request) <= {column.name for column in made.columns}
    assert len(written) == 10
    for path in written:  # the YAML for people too; the rest was validated before it was written
        assert max(len(line) for line in (project / path).read_text().splitlines()) < 200
        if path.endswith((".yml", ".yaml")):
            assert yaml.safe_load((project / path).read_text())


@pytest.mark.parametrize("days", [60, 400, 900])
def test_a_new_champion_is_not_too_old_at_once(project: Path, tmp_path: Path, days: int) -> None:
    rows = events(days, 3)
    made, _ = scaffolded(project, write_parquet(tmp_path / "visits.parquet", rows))
    spec = written(project, made.model)
    seen = sorted({row["at"].date() for row in rows})
    cut_now = split_decisions(seen, spec.split, seen[0], spec.horizon_days)
    known = max(cut_now.train + cut_now.validation)
    assert (seen[-1] - known).days + 30 < spec.retraining.max_age_days
