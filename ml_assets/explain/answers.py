"""One answer of the service, looked up in the collected prediction log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.prediction_log import Kind, collect, day_folder, part_files
from ml_assets.prediction_log.kinds import kind_of
from ml_assets.storage.files import exact_name


class UnknownPredictionError(LookupError):
    """No answer of that id is in the prediction log."""


@dataclass(frozen=True)
class Logged:
    """An answer as logged: its row; its products by position, or the one row of its event; what became of each.

    `shown` has a column per feature. `outcomes` are the rows of the day's published table, empty before there is one.
    """

    answer: dict[str, Any]
    shown: pa.Table
    outcomes: list[dict[str, Any]]


def find_answer(settings: Settings, spec: ModelSpec, prediction_id: str) -> Logged:
    """Collect what is new in the log, then look the answer up.

    Raises:
        UnknownPredictionError: when the log has no such answer; it says which times the log covers.
    """
    model = spec.name
    collect(settings, model)
    files = part_files(settings, model, Kind.PREDICTIONS)
    wanted = pc.field("prediction_id") == prediction_id
    holder = _file_with(files, prediction_id)
    if holder is None:
        raise UnknownPredictionError(_unknown(settings, model, prediction_id, files))
    answer = pq.read_table(holder, filters=wanted).slice(0, 1).to_pylist()[0]
    shown = holder.with_name(holder.name.replace(Kind.PREDICTIONS, Kind.SHOWN, 1))
    rows = pq.read_table(shown, filters=wanted)
    if spec.ranks:
        rows = rows.sort_by("position")
    return Logged(answer, rows, _outcomes(settings, spec, answer["time"], prediction_id))


def _file_with(files: list[Path], prediction_id: str) -> Path | None:
    """The file that has the answer; one query over them all, since ids do not tell the hour."""
    if not files:
        return None
    sql = "select filename from read_parquet(?, filename = true) where prediction_id = ? order by 1 limit 1"
    with duckdb.connect() as connection:
        found = connection.execute(sql, [[exact_name(file) for file in files], prediction_id]).fetchone()
    return None if found is None else Path(found[0])


def _unknown(settings: Settings, model: str, prediction_id: str, files: list[Path]) -> str:
    said = f"no answer {prediction_id!r} in the prediction log of {model}"
    if not files:
        return f"{said}: {settings.model_home(model)} has no answers yet; ask the service first"
    hours = [file.stem.removeprefix(f"{Kind.PREDICTIONS}-") for file in (files[0], files[-1])]
    return f"{said}, which covers the hours {hours[0]} to {hours[1]} (UTC); `prediction_id` is in each answer's JSON"


def _outcomes(settings: Settings, spec: ModelSpec, time: datetime, prediction_id: str) -> list[dict[str, Any]]:
    """What became of each product, or of the event, as the day's table knows it; nothing while there is none."""
    published = day_folder(settings, spec.name, time.date()) / "shown.parquet"
    if not published.exists():
        return []
    columns = [*(["product_id"] if spec.ranks else []), *kind_of(spec).outcomes.names]
    found = pq.read_table(published, columns=columns, filters=pc.field("prediction_id") == prediction_id)
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows
