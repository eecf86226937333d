"""What a file is taken for: names, kinds, missing values, separators, times."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import events, write_csv, write_parquet

from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.kinds import Kind
from ml_assets.scaffold.names import OURS, YAML, identifiers, keywords, snake
from ml_assets.scaffold.profile import look
from ml_assets.scaffold.times import moment_of

TAKEN = OURS | YAML | keywords()


@given(st.lists(st.text(min_size=1), unique=True, max_size=30))
def test_every_column_gets_a_name_of_its_own(raw: list[str]) -> None:
    found = identifiers(raw)
    assert list(found) == raw
    assert len(set(found.values())) == len(raw)
    for name in found.values():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert name not in TAKEN


@given(st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True), unique=True))
def test_a_name_that_fits_is_kept(raw: list[str]) -> None:
    found = identifiers(raw)
    assert [found[name] for name in raw if name not in TAKEN] == [name for name in raw if name not in TAKEN]


@pytest.mark.parametrize(
    ("raw", "name"),
    [("Patient ID", "patient_id"), ("AppointmentID", "appointment_id"), ("SMS_received", "sms_received"),
     ("No-show", "no_show"), ("Größe", "grosse"), ("% paid", "paid"), ("HTTPCode", "http_code")],
)  # fmt: skip
def test_names_read_as_words(raw: str, name: str) -> None:
    assert snake(raw) == name


def test_awkward_names_are_renamed_and_do_not_collide() -> None:
    found = identifiers(["Order", "No", "2nd visit", "日本", "person id", "person_id", "event_day"])
    assert list(found.values()) == [
        "order_value",
        "no_value",
        "n_2nd_visit",
        "column_4",
        "person_id_2",
        "person_id",
        "event_day_value",
    ]


VALUES: dict[str, tuple[list[Any], Kind]] = {
    "whole": (["1", "2", "3", None], Kind.WHOLE),
    "number": (["1.5", "2", "NA", "3"], Kind.NUMBER),
    "postcode": (["01234", "98765", "11111", "2"], Kind.TEXT),
    "flag": (["Yes", "no", "YES", None], Kind.FLAG),
    "moment": (["2025-01-01", "2025-01-02 10:00", None, "2025-01-03"], Kind.MOMENT),
    "mixed": (["1", "two", "3", "4"], Kind.TEXT),
    "nothing": ([None, None, None, None], Kind.TEXT),
}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_kinds_are_those_of_all_values(tmp_path: Path, kind: str) -> None:
    rows = [{name: values[at] for name, (values, _) in VALUES.items()} for at in range(4)]
    file = (write_csv if kind == "csv" else write_parquet)(tmp_path / f"rows.{kind}", rows)
    with look(file) as seen:
        assert {column.name: column.kind for column in seen.columns} == {
            name: kind for name, (_, kind) in VALUES.items()
        }
        number = seen.column("number")
        assert (number.unknown, number.missing, number.low, number.high) == (("NA",), 1, 1.5, 3.0)
        assert number.from_sql == "nullif(number, 'NA')"


def test_parquet_types_are_seen(tmp_path: Path) -> None:
    rows = [{"b": True, "t": dt.datetime(2025, 1, 1, 9), "d": dt.date(2025, 1, 1), "x": 1.25, "n": 4}] * 2
    with look(write_parquet(tmp_path / "rows.parquet", rows)) as seen:
        kinds = [Kind.FLAG, Kind.MOMENT, Kind.MOMENT, Kind.NUMBER, Kind.WHOLE]
        assert [column.kind for column in seen.columns] == kinds


def test_separator_and_encoding_are_found(tmp_path: Path) -> None:
    rows = [{"name": "Zoë", "n": n, "text": "a, b"} for n in range(30)]
    with look(write_csv(tmp_path / "rows.csv", rows, ";", "latin1")) as seen:
        assert (seen.delimiter, seen.encoding, seen.rows) == (";", "cp1252", 30)
        assert seen.column("name").values == ("Zoë",)


@pytest.mark.parametrize("name", ["rows.txt", "gone.csv", "empty.csv"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    if name != "gone.csv":
        (tmp_path / name).write_text("a,b\n")
    with pytest.raises(ScaffoldError), look(tmp_path / name):
        pass


MOMENT = dt.datetime(2025, 1, 20, 9, 30)
"""Its day is no month, so that its text is plain."""


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-01-20 09:30:00", MOMENT),
        ("2025-01-20T11:30:00+02:00", MOMENT),
        (str(int(MOMENT.replace(tzinfo=dt.UTC).timestamp())), MOMENT),
        (str(int(MOMENT.replace(tzinfo=dt.UTC).timestamp() * 1000)), MOMENT),
        ("20/01/2025 09:30", MOMENT),
        ("01/20/2025 09:30 AM", MOMENT),
        ("20.01.2025", dt.datetime(2025, 1, 20)),
        ("20250120", dt.datetime(2025, 1, 20)),
        ("20 Jan 2025", dt.datetime(2025, 1, 20)),
    ],
)
def test_times_are_read_as_they_are_written(tmp_path: Path, text: str, moment: dt.datetime) -> None:
    with look(write_csv(tmp_path / "rows.csv", [{"at": text, "n": 1}])) as seen:
        sql = moment_of(seen, seen.column("at")).sql
        assert seen.connection.execute(f"select {sql} from raw").fetchall() == [(moment,)]


def test_a_time_with_two_meanings_is_refused_until_its_format_is_said(tmp_path: Path) -> None:
    with look(write_csv(tmp_path / "rows.csv", [{"at": "03/04/2025", "n": 1}])) as seen:
        column = seen.column("at")
        with pytest.raises(ScaffoldError, match=r"two ways, %d/%m/%Y and %m/%d/%Y.*--time-format"):
            moment_of(seen, column)
        sql = moment_of(seen, column, "%d/%m/%Y").sql
        assert seen.connection.execute(f"select {sql} from raw").fetchall() == [(dt.datetime(2025, 4, 3),)]
        with pytest.raises(ScaffoldError, match="not every value"):
            moment_of(seen, column, "%Y")


def test_what_is_no_time_is_refused(tmp_path: Path) -> None:
    with look(write_csv(tmp_path / "rows.csv", events(2))) as seen, pytest.raises(ScaffoldError, match="--time"):
        moment_of(seen, seen.column("age"))
