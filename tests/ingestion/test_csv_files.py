"""CSV files of strangers: every line is a row or set aside, and what a file is instead is said."""

from __future__ import annotations

import csv
import itertools
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cases import case
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.reading.csv_files import LINES, copy_csv
from ml_assets.ingestion.reading.texts import delimiter_of, encoding_of

HEADER = "id,product,at,text,price"


def lines(count: int = 100) -> list[str]:
    """A header and rows as a shop would write them."""
    return [HEADER, *(f"{n},P{n % 7},2025-03-{1 + n % 28:02d} 10:00:00,{n} inch poster,{n}.5" for n in range(count))]


def read(path: Path, **how: str) -> tuple[list[dict[str, str | None]], list[str]]:
    """The rows of a file, and the lines that are none."""
    copy = path.with_suffix(".parquet")
    copy_csv(path, copy, **how)
    rows = pq.read_table(copy).to_pylist()
    apart = [row["_line"] for row in rows if row["_line"] is not None]
    return [{name: row[name] for name in row if name not in LINES.names} for row in rows if row["_line"] is None], apart


def written(path: Path, content: list[str], end: str = "\n", encoding: str = "utf8", last: str | None = None) -> Path:
    path.write_bytes((end.join(content) + (end if last is None else last)).encode(encoding))
    return path


STRAY = '50,P1,2025-03-20 10:00:00,"27 inch monitor,2'


@pytest.mark.parametrize("quote_at", ["", "closed with garbage", "closed as it should be", "next line"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_stray_quote_sets_its_own_line_aside_and_no_other(tmp_path: Path, quote_at: str, end: str) -> None:
    content = lines()
    content[51] = STRAY
    closing = {"closed with garbage": (81, '27" monitor'), "closed as it should be": (81, 'monitor 27"'),
               "next line": (52, 'monitor 27"')}  # fmt: skip
    if quote_at:
        number, text = closing[quote_at]
        content[number] = content[number].replace(f"{number - 1} inch poster", text)
    rows, apart = read(written(tmp_path / "rows.csv", content, end))
    assert (len(rows), apart) == (99, [STRAY])


def test_every_line_has_a_stray_quote(tmp_path: Path) -> None:
    content = [
        line if line == HEADER else line.replace(f",{n - 1} inch", f',"{n - 1} inch') for n, line in enumerate(lines())
    ]
    rows, apart = read(written(tmp_path / "rows.csv", content))
    assert (rows, apart) == ([], content[1:])


def test_quotes_escaped_by_a_backslash_are_set_aside(tmp_path: Path) -> None:
    content = lines()
    content[7] = r'6,P1,2025-03-20 10:00:00,"27\" monitor, black",2'
    content[9] = r'8,P1,2025-03-20 10:00:00,"32\" monitor",2'
    rows, apart = read(written(tmp_path / "rows.csv", content))
    assert (len(rows), apart) == (98, [content[7], content[9]])


def test_a_quote_within_a_field_is_text(tmp_path: Path) -> None:
    content = lines()
    content[5] = '4,P1,2025-03-20 10:00:00,12 " monitor,2'
    rows, apart = read(written(tmp_path / "rows.csv", content))
    assert (rows[4]["text"], apart) == ('12 " monitor', [])


def test_a_value_of_several_lines_is_one(tmp_path: Path) -> None:
    content = lines()
    content[5] = '4,P1,2025-03-20 10:00:00,"good,\n\nbut ""late""\n1, 2 or 3 days",2'
    rows, apart = read(written(tmp_path / "rows.csv", content))
    assert (len(rows), rows[4]["text"], apart) == (100, 'good,\n\nbut "late"\n1, 2 or 3 days', [])


@pytest.mark.parametrize(
    ("header", "end", "names"),
    [
        ('"parcel\nid",depot,late', "\n", ["parcel id", "depot", "late"]),
        ('id,"weight\n(kg)",late', "\n", ["id", "weight (kg)", "late"]),
        ('id,depot,"late\r\n(1 = yes)"', "\r\n", ["id", "depot", "late (1 = yes)"]),
        ('"id","a ""b"" c",late', "\n", ["id", 'a "b" c', "late"]),
        ('\ufeff"id\n1",depot,late', "\n", ["id 1", "depot", "late"]),
        ('\n\nid,depot,late', "\n", ["id", "depot", "late"]),
    ],
)  # fmt: skip
def test_a_header_may_have_line_breaks(tmp_path: Path, header: str, end: str, names: list[str]) -> None:
    rows, apart = read(written(tmp_path / "rows.csv", [header, *(f"{n},D{n},1" for n in range(9))], end))
    assert (list(rows[0]), len(rows), apart) == (names, 9, [])


def test_a_last_line_that_breaks_off_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.csv", [*lines(), "100,P3,2025-03"], last="")
    with pytest.raises(IngestionError, match=r"rows.csv: .*half-written: line 102, .* 3 of 5 fields: '100,P3,2025-03'"):
        read(path)


@pytest.mark.parametrize("last", ["Total: 100 rows", "100,P3,2025-03-01 10:00:00,x,2,3"])
def test_a_last_line_that_is_only_odd_is_set_aside(tmp_path: Path, last: str) -> None:
    rows, apart = read(written(tmp_path / "rows.csv", [*lines(), last], last=""))
    assert (len(rows), apart) == (100, [last])


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_separators_are_named_and_found(tmp_path: Path, delimiter: str) -> None:
    path = written(tmp_path / "rows.csv", [line.replace(",", delimiter) for line in lines()])
    named = {";": "semicolons", "\t": "tabs", "|": "bars"}[delimiter]
    with pytest.raises(IngestionError, match=f"separated by {named}, not by commas.*{re.escape(repr(delimiter))}"):
        read(path)
    assert delimiter_of(path, "utf-8") == delimiter
    assert len(read(path, delimiter=delimiter)[0]) == 100


def test_decimal_commas_do_not_hide_semicolons(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.csv", ["id;price;weight;late", *(f"{n};1,5;2,5;0" for n in range(9))])
    assert delimiter_of(path, "utf-8") == ";"


def test_separators_at_the_end_of_every_line_make_no_column(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.csv", [f"{line},," for line in lines()])
    rows, apart = read(path)
    assert (len(rows), apart, list(rows[0])) == (100, [], HEADER.split(","))
    written(path, [f"{line},,{'x' if number == 40 else ''}" for number, line in enumerate(lines())])
    with pytest.raises(IngestionError, match="has no name: line 41 has 'x' in it"):
        read(path)


def test_a_first_line_that_says_the_separator_is_no_header(tmp_path: Path) -> None:
    path = written(
        tmp_path / "rows.csv", ["sep=;", *(line.replace(",", ";") for line in lines())], encoding="utf-8-sig"
    )
    assert delimiter_of(path, "utf8") == ";"
    rows, apart = read(path, delimiter=";")
    assert (len(rows), apart, list(rows[0])) == (100, [], HEADER.split(","))


@pytest.mark.parametrize("mark", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_told_as_such_and_read_where_it_is_said(tmp_path: Path, mark: str) -> None:
    path = written(tmp_path / "rows.csv", lines(), encoding=mark)
    if mark != "utf-32" or not path.read_bytes().startswith(b"\xff\xfe\x00\x00"):
        assert encoding_of(path).encoding == mark
    with pytest.raises(IngestionError, match=f"the file is {mark} .*`encoding: {mark}`") as raised:
        read(path)
    assert "half-written" not in str(raised.value)
    assert len(read(path, encoding=mark)[0]) == 100


def test_bytes_beyond_utf_8_mean_windows_and_that_is_said(tmp_path: Path) -> None:
    content = [*lines(10), "10,Caf\u00e9 \u2013 5 \u20ac,2025-03-01 10:00:00,O\u2019Hara,1"]
    path = written(tmp_path / "rows.csv", content, encoding="cp1252")
    assumed = encoding_of(path)
    assert assumed.encoding == "cp1252"
    assert "read as cp1252" in assumed.why
    assert "line 12 is '10,Caf\u00e9 \u2013 5 \u20ac" in assumed.why
    assert read(path, encoding="cp1252")[0][10]["product"] == "Caf\u00e9 \u2013 5 \u20ac"
    with pytest.raises(IngestionError, match=r"line 12 is '10,Caf\\\\xe9.*`encoding: cp1252`"):
        read(path)


def test_a_line_with_a_byte_of_no_encoding_is_set_aside(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.csv", lines(100))
    path.write_bytes(path.read_bytes().replace(b"50 inch", b"\xff inch"))
    rows, apart = read(path)
    assert (len(rows), apart) == (99, [r"50,P1,2025-03-23 10:00:00,\xff inch poster,50.5"])


@pytest.mark.parametrize(("head", "said"), [(b"PK\x03\x04", "xlsx"), (b"\x1f\x8b\x08", "gzip"), (b"PAR1", "Parquet")])
def test_another_kind_of_file_is_named(tmp_path: Path, head: bytes, said: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(head + bytes(100))
    with pytest.raises(IngestionError, match=said):
        read(path)


plain = st.text(st.sampled_from('ab ",é\x00'), max_size=6)
broken = st.lists(st.text(st.sampled_from('ab "é'), max_size=4), min_size=2, max_size=4).map("\n".join)


@given(
    rows=st.lists(st.tuples(st.integers(1, 99), plain, broken | plain, plain), min_size=1, max_size=12),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_by_the_rules_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str, str, str]], quoting: int, end: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "rows.csv"
    with path.open("w", newline="", encoding="utf8") as opened:
        writer = csv.writer(opened, quoting=quoting, lineterminator=end)
        writer.writerows([("n", "one", "two", "three"), *rows])
    found, apart = read(path)
    assert apart == []
    assert [tuple(row.values()) for row in found] == [(str(n), *(text or None for text in texts)) for n, *texts in rows]
    ends = [0, *itertools.accumulate(1 + text.count("\n") for _, _, text, _ in rows)]
    assert pq.read_table(path.with_suffix(".parquet"))["_at"].to_pylist() == [2 + before for before in ends[:-1]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_row_and_every_line_that_is_none_says_its_line(tmp_path: Path, end: str, encoding: str) -> None:
    content = [
        "id,text", "1,a", "", "2,b", "3", '4,"c', 'd"', '5,"e', "6,f,g", "7,h", "", "", '8,"i', 'j"', "9,k", "10,l,m",
    ]  # fmt: skip
    path = written(tmp_path / "rows.csv", content, end=end, encoding=encoding)
    copy_csv(path, path.with_suffix(".parquet"), encoding=encoding)
    found = pq.read_table(path.with_suffix(".parquet")).to_pylist()
    assert [(row["_at"], row["id"]) for row in found if row["_line"] is None] == [
        (2, "1"), (4, "2"), (6, "4"), (10, "7"), (13, "8"), (15, "9"),
    ]  # fmt: skip
    apart = sorted((row["_at"], row["_line"]) for row in found if row["_line"] is not None)
    assert apart == [(5, "3"), (8, '5,"e'), (9, "6,f,g"), (16, "10,l,m")]


@pytest.mark.parametrize(
    "name", ["control", "one_stray", "two_stray_60_apart", "backslash_escaped", "inch_marks_inside"]
)
def test_stray_quotes_of_strangers(tmp_path: Path, name: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(case(f"05-stray-quotes/{name}.csv").read_bytes())
    rows, apart = read(path)
    assert len(rows) + len(apart) == 1200
    assert len(apart) <= 2


@pytest.mark.parametrize("name", ["first_cell", "middle_cell", "last_cell_crlf"])
def test_header_breaks_of_strangers(tmp_path: Path, name: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(case(f"03-header-line-break/{name}.csv").read_bytes())
    rows, apart = read(path)
    assert (len(rows), apart) == (1200, [])
    with case("03-header-line-break/control.csv").open() as opened:
        assert [list(row.values()) for row in rows] == list(csv.reader(opened))[1:]
