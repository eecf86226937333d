"""Taking an entity out of the prediction log: lines, the parts collected from them, and the daily tables.

A line is not cut out of its segment, as the parts name lines by the byte they begin at: it is overwritten by one of the
same length that says so, and neither collected nor counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml_assets.config.settings import Settings
from ml_assets.prediction_log.daily_tables import predictions_home
from ml_assets.prediction_log.partitions import parts_home
from ml_assets.prediction_log.segments import ERASED, read_lines
from ml_assets.retention.removal import drop_rows
from ml_assets.retention.rows import Drop
from ml_assets.retention.subject import Subject
from ml_assets.storage.file_lock import file_lock
from ml_assets.storage.log_layout import log_folder


def clean_answers(settings: Settings, model: str, who: Subject) -> dict[str, int]:
    """Take a model's answers to the entity out, and what became of them; returns lines and rows by place.

    What refers to an answer goes before the answer, so that a run that was killed still finds it.
    """
    log, parts, days = log_folder(settings, model), parts_home(settings, model), predictions_home(settings, model)
    segments = sorted(log.glob("*.jsonl"))
    tables = sorted([*parts.glob("*/*/*.parquet"), *days.glob(".versions/*/*/*.parquet")])
    count = dict.fromkeys(("log", "log parts", "daily predictions"), 0)
    with file_lock(parts / ".lock"), file_lock(days / ".lock"):
        answers = _answers(segments, tables, who)
        outcomes, others = _split(tables)
        for only_outcomes, paths in ((True, outcomes), (False, others)):
            for path in segments:
                count["log"] += _blank(path, who, answers, only_outcomes=only_outcomes)
            for path in paths:
                place = "daily predictions" if days in path.parents else "log parts"
                count[place] += drop_rows(path, _drop(who, answers))
    return count


def find_answers(settings: Settings, model: str, who: Subject) -> int:
    """Lines of the log that name the entity."""
    segments = sorted(log_folder(settings, model).glob("*.jsonl"))
    return sum(1 for path in segments for _, line in _lines(path) if _about(line, who))


def _split(tables: list[Path]) -> tuple[list[Path], list[Path]]:
    outcomes = [path for path in tables if path.name.startswith("outcomes")]
    return outcomes, [path for path in tables if path not in set(outcomes)]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    return ((at, line) for at, line in read_lines(path, 0, path.stat().st_size) if not line.startswith(ERASED))


def _about(line: bytes, who: Subject) -> bool:
    """Whether a line says the id under one of its names; of what has no names of ours, whether it says it at all."""
    if who.id.encode() not in line:
        return False
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError:
        return who.within(line)
    if not isinstance(said, dict):
        return who.within(line)
    keys = said.get("keys") if isinstance(said.get("keys"), dict) else {}
    named = {**(keys or {}), **said}
    texts = said.get("kind") not in {"prediction", "outcome"}  # no columns of their own: a refusal's error, other lines
    return any(str(named.get(name)) == who.id for name in who.names) or (texts and who.within(line))


def _answers(segments: list[Path], tables: list[Path], who: Subject) -> frozenset[str]:
    """Ids of the answers to the entity."""
    found: set[str] = set()
    for path in segments:
        for _, line in _lines(path):
            if b'"prediction"' in line and _about(line, who):
                said = orjson.loads(line) if line.endswith(b"}\n") else {}
                found.add(str(said.get("prediction_id")))
    for path in tables:
        names = pq.read_schema(path).names
        if "prediction_id" in names and not path.name.startswith("outcomes"):
            columns = [name for name in names if name == "prediction_id" or name in who.names or name == "keys"]
            rows = pq.read_table(path, columns=columns)
            found |= set(rows["prediction_id"].filter(pa.array(who.rows(rows))).to_pylist())
    return frozenset(found)


def _drop(who: Subject, answers: frozenset[str]) -> Drop:
    known = pa.array(sorted(answers), pa.string())

    def drop(table: pa.Table) -> NDArray[np.bool_]:
        gone = who.rows(table)
        if "prediction_id" in table.column_names:
            gone |= pc.is_in(table["prediction_id"], value_set=known).to_numpy()
        return gone

    return drop


def _blank(path: Path, who: Subject, answers: frozenset[str], *, only_outcomes: bool) -> int:
    """Overwrite lines in place: the server may be writing to the file's end."""
    count = 0
    with path.open("r+b", buffering=0) as opened:
        for at, line in read_lines(path, 0, path.stat().st_size):
            outcome = b'"outcome"' in line and _of(line, answers)
            ours = who.within(line) if line.startswith(ERASED) else outcome or (not only_outcomes and _about(line, who))
            if ours:
                opened.seek(at)
                opened.write(_erased(line))
                count += 1
        if count:
            os.fsync(opened.fileno())
    return count


def _of(line: bytes, answers: frozenset[str]) -> bool:
    try:
        return str(orjson.loads(line).get("prediction_id")) in answers
    except (orjson.JSONDecodeError, AttributeError):
        return False


def _erased(line: bytes) -> bytes:
    """A line of the same length; what a kill leaves of the old one behind its beginning is found by the next run."""
    end = line[-1:] if line.endswith(b"\n") else b""
    return ERASED + b" " * (len(line) - len(end) - 1) + end
