"""How events and entities are named: an id of the file or one that is made, keys of numbers and of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from tables import Row, bare_project, column, events, scaffolded, write_csv, write_parquet

from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.plan import Plan


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return bare_project(tmp_path / "project")


def without_id(rows: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != "id"} for row in rows]


def named(project: Path, made: Plan, row: Row) -> Any:
    """The id of an event by the SQL of the source."""
    texts = ", ".join(f"'{value}' as \"{name}\"" for name, value in row.items())
    return duckdb.sql(f"select {column(project, made.event)['from']} from (select {texts})").fetchall()[0][0]


def test_an_event_without_an_id_is_known_by_what_its_caller_knows(project: Path, tmp_path: Path) -> None:
    rows = without_id(events())
    made, _ = scaffolded(project, write_csv(tmp_path / "visits.csv", [*rows, rows[0]]))
    row = rows[5]
    assert made.event == "visits_id"
    called = named(project, made, row)
    assert called.startswith(f"{row['person']}|{row['at']}")
    assert named(project, made, row | {"late": 1 - row["late"]}) == called  # who asks does not know how it comes out
    said = "\n".join(made.notes)
    assert "1 rows repeat another one" in said
    assert "no column identifies an event: its caller names it as person|at_value" in said
    assert "|" in made.example["event"]


def test_an_id_too_long_to_be_said_is_a_digest(project: Path, tmp_path: Path) -> None:
    rows = [row | {"person": row["person"] * 20} for row in without_id(events())]
    made, _ = scaffolded(project, write_csv(tmp_path / "visits.csv", rows))
    assert len(named(project, made, rows[0])) == 32
    assert "MD5 of person|at_value" in "\n".join(made.notes)


@pytest.mark.parametrize("copies", [2, 20])
def test_rows_that_only_the_label_tells_apart_need_an_id(project: Path, tmp_path: Path, copies: int) -> None:
    rows = without_id(events(60, 4)) * copies
    with pytest.raises(ScaffoldError, match=r"no column identifies an event, and .* rows are like another.*--id"):
        scaffolded(project, write_csv(tmp_path / "visits.csv", rows))


def entity(project: Path, name: str) -> Any:
    return yaml.safe_load((project / "feature_repo/features/visits.yaml").read_text())["entities"][name]


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_of_a_column_of_numbers_348_0_is_348(project: Path, tmp_path: Path, write: Any) -> None:
    rows = [row | {"person": float(row["person"][1:])} for row in events()]
    rows[7]["person"] = None
    suffix = "csv" if write is write_csv else "parquet"
    made, _ = scaffolded(project, write(tmp_path / f"visits.{suffix}", rows))
    assert made.example["person"] in {str(number) for number in range(1, 21)}
    said = column(project, "person")
    assert (said["from"], said["type"]) == (r"regexp_replace(person, '\.0*$', '')", "VARCHAR")
    assert said["pattern"] == "-?(0|[1-9][0-9]{0,62})"
    assert entity(project, "lateness_person") == {
        "key": "person", "form": "number", "missing": "unknown", "description": "A person.",
    }  # fmt: skip


def test_a_long_number_keeps_its_digits(project: Path, tmp_path: Path) -> None:
    rows = [row | {"person": f"1234567890123456789{row['person'][1:]}" + (".0" if row["id"] == 5 else "")}
            for row in events()]  # fmt: skip
    scaffolded(project, write_csv(tmp_path / "visits.csv", rows))
    said = column(project, "person")
    found = duckdb.sql(f"select {said['from']} from (select '12345678901234567897.0' as person)").fetchall()
    assert found == [("12345678901234567897",)]


def test_a_long_number_that_is_missing_in_words_is_missing(project: Path, tmp_path: Path) -> None:
    rows = [row | {"person": "NA" if row["id"] == 5 else f"1234567890123456789{row['person'][1:]}"} for row in events()]
    made, _ = scaffolded(project, write_csv(tmp_path / "visits.csv", rows))
    assert (made.entities[0].number, made.entities[0].missing) == (True, True)
    sql = f"select {column(project, 'person')['from']} from (values ('NA'), ('12345678901234567897')) as rows(person)"
    assert duckdb.sql(sql).fetchall() == [(None,), ("12345678901234567897",)]


def test_an_id_that_is_no_number_in_one_row_is_an_id(project: Path, tmp_path: Path) -> None:
    rows = [row | {"id": "x7" if row["id"] == 7 else row["id"]} for row in events()]
    made, _ = scaffolded(project, write_csv(tmp_path / "visits.csv", rows), id="id")
    assert made.event == "id"
    assert column(project, "id")["type"] == "VARCHAR"


def test_a_text_stays_a_text(project: Path, tmp_path: Path) -> None:
    codes = ["7", "07", "007", "7.0"]
    rows = [row | {"person": codes[row["id"] % 4]} for row in events()]
    made, _ = scaffolded(project, write_csv(tmp_path / "visits.csv", rows))
    assert (column(project, "person")["from"], made.entities[0].number) == ("person", False)
    assert entity(project, "lateness_person") == {"key": "person", "description": "A person."}


def test_nearly_numbers_are_texts_and_it_is_said(project: Path, tmp_path: Path) -> None:
    rows = [row | {"person": row["person"][1:]} for row in events()]
    rows[0]["person"] = "9.007E+15"
    made, _ = scaffolded(project, write_csv(tmp_path / "visits.csv", rows))
    assert not made.entities[0].number
    assert "person is taken as texts, as they are written" in "\n".join(made.notes)
    assert "9.007E+15" in "\n".join(made.notes)


def test_a_key_that_no_request_can_name_is_counted(project: Path, tmp_path: Path) -> None:
    rows = events()
    rows[0]["person"], rows[1]["person"] = "x" * 65, "a\x01b"
    made, _ = scaffolded(project, write_parquet(tmp_path / "visits.parquet", rows))
    assert "2 rows have a person that no request can name" in "\n".join(made.notes)
    fits = f"regexp_full_match('a' || chr(1), '{column(project, 'person')['pattern']}')"
    assert duckdb.sql(f"select {fits}").fetchall() == [(False,)]


def test_entities_are_named_apart(project: Path, tmp_path: Path) -> None:
    rows = events(person_id=lambda draw, row: draw.choice("abc"), clinic_no=lambda draw, row: draw.choice("de"))
    file = write_csv(tmp_path / "visits.csv", rows)
    made, _ = scaffolded(project, file, entity=["person", "person_id,clinic_no"])
    assert [entity.name for entity in made.entities] == ["lateness_person", "lateness_person_id", "lateness_clinic"]
