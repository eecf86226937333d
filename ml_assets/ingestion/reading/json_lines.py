"""JSON lines as rows: only the keys that the mapping reads become raw columns, and one line never decides for others.

What a caller writes beside those keys costs nothing and breaks nothing. A line is no row when it is no JSON object, has
bytes that are no text in the file's encoding, a key without a name, or a key of the mapping in two spellings (`price`
and `Price`): its text is in `_line`. The others keep their text in `_json`. Of a key given twice the first counts, and
that is said.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ml_assets.config.ingestion_error import DELIVER_AGAIN, IngestionError
from ml_assets.ingestion.connectors.addresses import SourceFile
from ml_assets.ingestion.connectors.landed import stamp_of
from ml_assets.ingestion.reading.columns import Binder
from ml_assets.ingestion.reading.readers import NUMBERED, RawFile, literal, parquet, quote
from ml_assets.ingestion.reading.texts import BROKEN_BYTE, check_encoding, readable
from ml_assets.storage.files import sha256_file

LINES = pa.schema([("_line", pa.string()), ("_text", pa.bool_()), ("_at", pa.int64())])
BATCH_CHARACTERS = 2_000_000
"""Text that is parsed at once: DuckDB holds what it made of a whole batch."""
LONGEST = 1_000_000
"""Characters of the longest line that can be a row; of a longer one the beginning is kept."""
LOOKED_AT = 1_000
"""Lines whose keys are looked through for the new name of one that no line has."""
WHOLE_IN_MEMORY = 64_000_000
"""Bytes up to which a file that looks like one JSON array is parsed to be sure."""
BLANK = " \t\r\n\ufeff"
IS_OBJECT = "case when _text and json_valid(_line) then json_type(_line) = 'OBJECT' else false end"
KEYS = f"json_keys(case when {IS_OBJECT} then _line else '{{}}' end)"


def pointer(key: str) -> str:
    """SQL of the place of a key in a JSON object: a JSON pointer means that key, whatever signs are in it."""
    return literal("/" + key.replace("~", "~0").replace("/", "~1"))


def own_keys(found: str, keys: Sequence[str]) -> str:
    """SQL: of a list of an object's keys those of the mapping, however they are spelled."""
    wanted = ", ".join(literal(key.lower()) for key in keys) or "null"
    return f"list_filter({found}, lambda key: lower(key) in ({wanted}))"


def given_twice(found: str, keys: Sequence[str]) -> str:
    """SQL: whether a list of an object's keys has one of the mapping more than once."""
    own = own_keys(found, keys)
    return f"len({own}) > len(list_distinct({own}))"


def open_json_lines(file: SourceFile, binder: Binder, copy: Path) -> RawFile:
    """Copy a file of JSON lines to `copy`: a text column per key, `_line` for what is no row, `_json` for what is.

    Args:
        file: the file.
        binder: of its table, with the keys that the mapping reads as columns.
        copy: takes Parquet.

    Raises:
        IngestionError: when the file is empty, half-written or one JSON array, or when so many lines lack a key that
            the file must have lost it: `quarantine_min_rows` and all of them.
    """
    keys, table, connection = binder.columns, binder.table, binder.connection
    stamp = stamp_of(file.path)
    if stamp[0] == 0:
        raise IngestionError("the file is empty (0 bytes)", file=file.path, remedy=DELIVER_AGAIN)
    check_encoding(file.path, table.encoding)
    sha256 = sha256_file(file.path)
    lines = copy.with_suffix(".lines")
    _write_lines(file.path, table.encoding, lines)
    read = _judged(parquet(lines, options=NUMBERED), keys, connection)
    rows, objects, whole = _counts(read, connection)
    if objects <= 1 and _is_array(file.path, table.encoding, rows):
        remedy = "write one object a line (jq -c '.[]'), and run the day again"
        raise IngestionError("the file is a JSON array, not lines", file=file.path, remedy=remedy)
    if not whole and not _ends_a_line(file.path):
        raise IngestionError("the file is half-written: its last row breaks off", file=file.path, remedy=DELIVER_AGAIN)
    values = [f"_values[{place}] as {quote(key)}" for place, key in enumerate(keys, 1)]
    values += ["case when _row then _line end as _json", "case when not _row then _line end as _line", "_at"]
    wanted = ", ".join(pointer(key) for key in keys) or "''"
    parsed = f"select *, case when _row then _line ->> [{wanted}] end as _values from {read}"
    found = f"select {', '.join(values)} from ({parsed}) order by file_row_number"
    connection.execute(f"copy ({found}) to {literal(copy)} (format parquet)")
    if keys and objects >= table.quarantine_min_rows:
        _check_keys(binder, read, copy)
    note = _twice(file.label, read, connection)
    lines.unlink()
    return RawFile(file, copy, tuple(keys), rows, sha256, stamp, note=note)


def _write_lines(path: Path, encoding: str, lines: Path) -> None:
    with (
        path.open(encoding=encoding, errors="surrogateescape", newline="") as opened,
        pq.ParquetWriter(lines, LINES) as writer,
    ):
        try:
            for batch in _batches(opened):
                at, found = zip(*batch, strict=True)
                texts = [len(line) <= LONGEST and BROKEN_BYTE.search(line) is None for line in found]
                shown = [line if text else readable(line[:LONGEST]) for line, text in zip(found, texts, strict=True)]
                writer.write_batch(pa.record_batch([shown, texts, at], schema=LINES))
        except UnicodeError as error:
            problem = f"the file is half-written or no text in {encoding} ({error})"
            raise IngestionError(problem, file=path, remedy=f"{DELIVER_AGAIN}, or say its `encoding:`") from error


def _batches(opened: TextIO) -> Iterator[list[tuple[int, str]]]:
    """Lines that are not blank, with their numbers from 1, in batches that fit into memory."""
    held: list[tuple[int, str]] = []
    size = 0
    for number, line in _lines(opened):
        held.append((number, line))
        size += len(line)
        if size > BATCH_CHARACTERS or len(held) >= 50_000:
            yield held
            held, size = [], 0
    if held:
        yield held


def _lines(opened: TextIO) -> Iterator[tuple[int, str]]:
    """Each line without its end; one that is longer than `LONGEST` loses what is behind its next character."""
    number = 0
    while read := opened.readline(LONGEST + 1):
        rest, number = read, number + 1
        while len(rest) > LONGEST and not rest.endswith(("\n", "\r")):
            rest = opened.readline(LONGEST + 1)
        if line := read.strip(BLANK):
            yield number, line


def _judged(read: str, keys: Sequence[str], connection: duckdb.DuckDBPyConnection) -> str:
    """SQL of the lines with `_row`: whether each is a row.

    Lines of a file mostly have the same keys: these are judged once.
    """
    own = f"list_distinct({own_keys('keys', keys)})"
    spelled = f"len(list_distinct(list_transform({own}, lambda key: lower(key))))"
    connection.execute(
        f"create or replace temp table found_keys as select distinct {KEYS} as keys from {read};"
        "create or replace temp table odd_keys as "
        f"select keys from found_keys where list_contains(keys, '') or len({own}) > {spelled};"
        f"create or replace temp table twice_keys as select keys from found_keys where {given_twice('keys', keys)}"
    )
    return f"(select *, {IS_OBJECT} and {KEYS} not in (from odd_keys) as _row from {read})"


def _twice(name: str, read: str, connection: duckdb.DuckDBPyConnection) -> str:
    """A note on lines that give a key twice, where there are some."""
    if connection.execute("select 1 from twice_keys limit 1").fetchone() is None:
        return ""
    sql = f"select count(*), min(_at) from {read} where _row and {KEYS} in (from twice_keys)"
    [(count, first)] = connection.execute(sql).fetchall()
    said = f"{count:,} lines of {name} give a key twice, first line {first}: of each such key the first value counts"
    return said if count else ""


def _counts(read: str, connection: duckdb.DuckDBPyConnection) -> tuple[int, int, bool]:
    """Lines, lines that are objects, and whether the last line is whole (a JSON value of any kind)."""
    counted = connection.execute(f"select count(*), count_if(_row) from {read}").fetchone() or (0, 0)
    last = connection.execute(
        f"select _text and json_valid(_line) from {read} order by file_row_number desc limit 1"
    ).fetchone()
    return int(counted[0]), int(counted[1] or 0), last is None or bool(last[0])


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as opened:
        opened.seek(-min(4, stamp_of(path)[0]), os.SEEK_END)
        end = opened.read()
    return b"\n" in end or b"\r" in end


def _is_array(path: Path, encoding: str, lines: int) -> bool:
    """Whether the file is one array over several lines, or one of objects on a single line."""
    with path.open("rb") as opened:
        begins = opened.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
        opened.seek(-min(64, stamp_of(path)[0]), os.SEEK_END)
        ends = opened.read().rstrip().endswith(b"]")
    if not (begins and ends):
        return False
    if stamp_of(path)[0] > WHOLE_IN_MEMORY:
        return True
    try:
        content = json.loads(path.read_text(encoding).strip(BLANK))
    except (ValueError, RecursionError):
        return False
    return lines > 1 or all(isinstance(each, dict) for each in content)


def _check_keys(binder: Binder, read: str, copy: Path) -> None:
    """Refuse a file in which no line has a key: whoever writes it has renamed or dropped it."""
    keys, connection = binder.columns, binder.connection
    counts = ", ".join(f"count({quote(key)})" for key in keys)
    filled = connection.execute(f"select {counts} from {parquet(copy)}").fetchone() or ()
    for key in (key for key, count in zip(keys, filled, strict=True) if not count):
        has = f"case when _row then json_exists(_line, {pointer(key)}) else false end"
        if connection.execute(f"select 1 from {read} where {has} limit 1").fetchone() is None:
            found = connection.execute(
                f"select key from (select unnest(json_keys(_line)) as key from "
                f"(from {read} where _row order by file_row_number limit {LOOKED_AT})) "
                "group by key order by count(*) desc, key limit 50"
            ).fetchall()
            raise replace(binder, columns=[name for (name,) in found]).missing(key)
