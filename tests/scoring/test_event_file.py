"""Files of events: what is read of them, and that a row is refused exactly where the service would refuse it."""

from __future__ import annotations

import datetime as dt
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny_labelled import labelled_spec

from ml_assets.config.keys import KeyForm
from ml_assets.config.model_spec import Task
from ml_assets.datasets.source_reading import SourceReading
from ml_assets.scoring.event_file import columns_of, write_entities
from ml_assets.scoring.scored_file import UnfitFrameError
from serving.model.events import request_model

SPEC = labelled_spec(Task.BINARY)
KEYS = ("place", "company")
NOW = dt.datetime(2026, 3, 1)
GOOD = {"event_id": ["a", "b"], "place": ["p1", None], "company": ["c", "d"], "size": [1.0, None], "hour": [3, 4]}


def read(
    folder: Path, file: Path, forms: dict[str, KeyForm] | None = None, source: SourceReading | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    columns = columns_of(SPEC, KEYS, file, forms, source)
    entities, rejected = folder / "entities.parquet", folder / "rejected.parquet"
    write_entities(file, columns, None if columns.time else NOW, entities, rejected)
    return pq.read_table(entities).to_pylist(), pq.read_table(rejected).to_pylist()


def parquet(folder: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), folder / "events.parquet")
    return folder / "events.parquet"


def csv(folder: Path, text: str) -> Path:
    (folder / "events.csv").write_text(text)
    return folder / "events.csv"


def test_rows_become_entity_rows_as_of_now(tmp_path: Path) -> None:
    kept, rejected = read(tmp_path, parquet(tmp_path, GOOD))
    assert rejected == []
    assert kept[1] == {
        "event__id": "b", "place": None, "company": "d", "event_timestamp": NOW,
        "now": NOW.replace(tzinfo=dt.UTC).timestamp(), "request__size": None, "request__hour": 4.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "times",
    [
        pa.array([dt.datetime(2026, 1, 2, 3), dt.datetime(2026, 1, 3)], pa.timestamp("ns")),
        pa.array([dt.datetime(2026, 1, 2, 5), dt.datetime(2026, 1, 3, 2)]).cast(pa.timestamp("us", "Europe/Berlin")),
        ["2026-01-02T03:00:00Z", "2026-01-03 01:00:00+01:00"],
    ],
)
def test_a_time_is_taken_in_utc(tmp_path: Path, times: Any) -> None:
    kept, rejected = read(tmp_path, parquet(tmp_path, {**GOOD, "happened_at": times}))
    assert rejected == []
    assert kept[1]["event_timestamp"].date() == dt.date(2026, 1, 3)
    assert kept[1]["now"] == kept[1]["event_timestamp"].replace(tzinfo=dt.UTC).timestamp()


def test_whole_numbers_are_keys_as_texts(tmp_path: Path) -> None:
    kept, _ = read(tmp_path, parquet(tmp_path, {**GOOD, "event_id": [7, 8], "place": pa.array([8, None], pa.int32())}))
    assert [(row["event__id"], row["place"]) for row in kept] == [("7", "8"), ("8", None)]


def test_csv_rows_that_are_none_are_set_aside_with_why(tmp_path: Path) -> None:
    text = (
        "event_id,company,place,hour,size,happened_at\n"
        "a,Yellow,8,1,2.5,2026-01-02\n"
        ",Yellow,8,1,2.5,2026-01-02\n"
        "c,Yellow,8,one,2.5,2026-01-02\n"
        "d,Yellow,8,1\n"
        "e,,,,,soon\n"
        'f,"Yellow, Blue",,,1e400,2026-01-02T10:00:00Z\n'
        'g,"Yellow, Blue",,,,2026-01-02T10:00:00Z\n'
    )
    kept, rejected = read(tmp_path, csv(tmp_path, text))
    assert [row["event__id"] for row in kept] == ["a", "g"]
    assert kept[1]["company"] == "Yellow, Blue"
    said = {row["row"]: row["reason"] for row in rejected}
    assert set(said) == {2, 3, None, 4, 5}
    assert ("no id" in said[2], "hour" in said[3], "fields" in said[None]) == (True, True, True)
    assert ("happened_at" in said[4], "size" in said[5]) == (True, True)
    raw = {row["row"]: row["raw"] for row in rejected}
    assert raw[None] == "d,Yellow,8,1"
    assert json.loads(raw[3])["hour"] == "one"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"size": ["1", "2"]}, "size .*number"),
        ({"place": [["a"], ["b"]]}, "place .*text"),
        ({"happened_at": [1, 2]}, "happened_at .*time"),
        ({"company": None}, "company"),
    ],
)
def test_a_column_that_cannot_be_meant_is_named(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    columns = {name: values for name, values in {**GOOD, **changes}.items() if values is not None}
    with pytest.raises(UnfitFrameError, match=says):
        read(tmp_path, parquet(tmp_path, columns))


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events.parquet").write_text("no")
    with pytest.raises(UnfitFrameError, match="no Parquet file"):
        read(tmp_path, tmp_path / "events.parquet")
    with pytest.raises(FileNotFoundError):
        read(tmp_path, tmp_path / "none.csv")
    with pytest.raises(UnfitFrameError, match="half-written"):
        read(tmp_path, csv(tmp_path, "event_id,place,company,size,hour\na,b,c,1,2\nb,c"))


NAMES = st.one_of(
    st.none(),
    st.text(max_size=70),
    st.sampled_from(["", "x" * 64, "x" * 65, "a\x00b", "a\nb", "\x7f", "7", "7.0", "07", "-1.", " 7 ", "unknown"]),
)
NUMBERS = st.one_of(st.none(), st.floats(allow_nan=False), st.floats(width=32, allow_nan=False))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAMES, NAMES, NAMES, NUMBERS, NUMBERS), min_size=1, max_size=8))
def test_a_row_is_refused_where_the_service_refuses_it(tmp_path_factory, rows) -> None:
    folder = tmp_path_factory.mktemp("rows")
    names = ("event_id", *KEYS, *SPEC.request_features)
    schema = pa.schema([*((name, pa.string()) for name in names[:3]), *((name, pa.float64()) for name in names[3:])])
    columns = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), schema, strict=True)]
    forms = {"place": KeyForm(number=True, missing="unknown"), "company": KeyForm()}
    kept, rejected = read(folder, parquet(folder, dict(zip(names, columns, strict=True))), forms)
    asked = request_model(KEYS, SPEC.request_features, tuple(forms.items()))
    answered = []
    expected = []
    for number, row in enumerate(rows, 1):
        said = dict(zip(names, row, strict=True))
        event = said.pop("event_id")
        try:
            request = asked.model_validate({**said, "event": event})
            refused = request.event is None  # what has no id cannot be found in the result
        except ValidationError:
            refused = True
        expected += [number] if refused else []
        answered += [] if refused else [(request.event, request.given(KEYS))]
    assert [row["row"] for row in rejected] == expected
    assert [(row["event__id"], {key: row[key] for key in KEYS}) for row in kept] == answered


def test_not_a_number_is_missing(tmp_path: Path) -> None:
    kept, rejected = read(tmp_path, parquet(tmp_path, {**GOOD, "size": [math.nan, 1.0]}))
    assert (rejected, [row["request__size"] for row in kept]) == ([], [None, 1.0])


@pytest.mark.parametrize("number", [True, False])
def test_of_a_column_of_numbers_348_0_is_348(tmp_path: Path, number: bool) -> None:
    places = pa.array([348.0, math.nan, None, 348.5, 2.0**60], pa.float64())
    rows = {"event_id": [1.0, 2.0, 3.0, 4.0, 5.0], "place": places, "company": ["007", "7", "7.0", "c", "d"]}
    rows |= {"size": [1.0] * 5, "hour": [1] * 5}
    forms = {"place": KeyForm(number=number, missing="unknown")}
    kept, rejected = read(tmp_path, parquet(tmp_path, rows), forms)
    assert [row["event__id"] for row in kept] == ["1", "2", "3"]
    assert [row["place"] for row in kept] == ["348", "unknown", "unknown"]
    assert [row["company"] for row in kept] == ["007", "7", "7.0"]
    assert [(row["row"], row["reason"]) for row in rejected] == [
        (4, "place: a whole number is asked, with all of its digits"),
        (5, "place: a whole number is asked, with all of its digits"),
    ]


SOURCE = SourceReading(
    "visits", ";", "cp1252",
    {
        "event_id": "event_id", "place": "nullif(place, 'NA')", "company": '"Company Name"',
        "size": "case lower(trim(size)) when 'yes' then 1 when 'no' then 0 end", "hour": '"Hour of day"',
        "happened_at": "try_strptime(happened_at, '%d.%m.%Y')",
    },
)  # fmt: skip
FORMS = {"place": KeyForm(number=True, missing="unknown"), "company": KeyForm()}
AS_DELIVERED = [("a", "348.0", "Café 5 €", "Yes", "3", "05.01.2026"), ("b", "NA", "007", "no", "", "06.01.2026")]
HEADER = ("event_id", "place", "Company Name", "size", "Hour of day", "happened_at")


@pytest.mark.parametrize("encoding", ["cp1252", "utf8"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_is_read_as_its_source_reads_it(tmp_path: Path, kind: str, encoding: str) -> None:
    if kind == "csv":
        file = tmp_path / "events.csv"
        file.write_text("\n".join(";".join(row) for row in (HEADER, *AS_DELIVERED)) + "\n", encoding=encoding)
    else:
        file = parquet(tmp_path, dict(zip(HEADER, map(list, zip(*AS_DELIVERED, strict=True)), strict=True)))
    kept, rejected = read(tmp_path, file, FORMS, SOURCE)
    assert rejected == []
    assert [(row["place"], row["company"], row["request__size"], row["request__hour"]) for row in kept] == [
        ("348", "Café 5 €", 1.0, 3.0),
        ("unknown", "007", 0.0, None),
    ]
    assert [row["event_timestamp"] for row in kept] == [dt.datetime(2026, 1, 5), dt.datetime(2026, 1, 6)]


def test_a_file_as_callers_say_it_is_taken_all_the_same(tmp_path: Path) -> None:
    rows = {**GOOD, "place": ["348", "unknown"], "happened_at": ["2026-01-05", "2026-01-06"]}
    kept, rejected = read(tmp_path, parquet(tmp_path, rows), FORMS, SOURCE)
    assert (rejected, [row["place"] for row in kept]) == ([], ["348", "unknown"])
    with pytest.raises(UnfitFrameError, match=r'lacks columns.*: company \(the source visits makes company from "Comp'):
        read(tmp_path, parquet(tmp_path, {name: rows[name] for name in rows if name != "company"}), FORMS, SOURCE)


@pytest.mark.parametrize(("encoding", "delimiter"), [("cp1252", ","), ("utf-16", ";"), ("utf-8-sig", ",")])
def test_a_csv_file_is_read_in_the_encoding_it_is_in(tmp_path: Path, encoding: str, delimiter: str) -> None:
    text = 'event_id,"place\n",company,size,hour\na,caf\u00e9 \u2013 5 \u20ac,c,1,2\n'
    file = tmp_path / "events.csv"
    file.write_bytes(text.replace(",", delimiter).encode(encoding))
    rows, rejected = read(tmp_path, file)
    assert (rows[0]["place"], rejected) == ("caf\u00e9 \u2013 5 \u20ac", [])


@pytest.mark.parametrize(
    ("source", "written"),
    [((";", "cp1252"), ","), ((",", "utf8"), ";"), (("~", "latin1"), "~"), (("~", "utf-16"), ",")],
)
def test_the_separator_of_the_source_is_taken_where_no_other_fits_better(
    tmp_path: Path, source: tuple[str, str], written: str
) -> None:
    file = tmp_path / "events.csv"
    text = "event_id,place,company,size,hour\na,caf\u00e9,c d,1,2\nb,x,y,3,4\n".replace(",", written)
    file.write_bytes(text.encode("latin1"))
    rows, rejected = read(tmp_path, file, source=SourceReading("visits", *source))
    assert ([row["place"] for row in rows], rejected) == (["caf\u00e9", "x"], [])
