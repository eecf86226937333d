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

from ml_assets.predictions import Kind, collect, day_folder, part_files
from ml_assets.settings import Settings

OUTCOMES = ("clicked", "carted", "purchased")


class UnknownPredictionError(LookupError):
    """No answer of that id is in the prediction log."""


@dataclass(frozen=True)
class Logged:
    """An answer as logged: its row, its products by position (with a column per feature), and their outcomes."""

    answer: dict[str, Any]
    shown: pa.Table
    outcomes: dict[str, dict[str, bool]]


def find_answer(settings: Settings, model: str, prediction_id: str) -> Logged:
    """Collect what is new in the log, then look the answer up.

    Raises:
        UnknownPredictionError: when the log has no such answer; it says which times the log covers.
    """
    collect(settings, model)
    files = part_files(settings, model, Kind.PREDICTIONS)
    wanted = pc.field("prediction_id") == prediction_id
    holder = _file_with(files, prediction_id)
    if holder is None:
        raise UnknownPredictionError(_unknown(settings, model, prediction_id, files))
    answer = pq.read_table(holder, filters=wanted).slice(0, 1).to_pylist()[0]
    shown = holder.with_name(holder.name.replace(Kind.PREDICTIONS, Kind.SHOWN, 1))
    products = pq.read_table(shown, filters=wanted).sort_by("position")
    return Logged(answer, products, _outcomes(settings, model, answer["time"], prediction_id))


def _file_with(files: list[Path], prediction_id: str) -> Path | None:
    """The file that has the answer; one query over them all, since ids do not tell the hour."""
    if not files:
        return None
    sql = "select filename from read_parquet(?, filename = true) where prediction_id = ? order by 1 limit 1"
    with duckdb.connect() as connection:
        found = connection.execute(sql, [[str(file) for file in files], prediction_id]).fetchone()
    return None if found is None else Path(found[0])


def _unknown(settings: Settings, model: str, prediction_id: str, files: list[Path]) -> str:
    said = f"no answer {prediction_id!r} in the prediction log of {model}"
    if not files:
        return f"{said}: {settings.model_home(model)} has no answers yet; ask the service first"
    hours = [file.stem.removeprefix(f"{Kind.PREDICTIONS}-") for file in (files[0], files[-1])]
    return f"{said}, which covers the hours {hours[0]} to {hours[1]} (UTC); `prediction_id` is in each answer's JSON"


def _outcomes(settings: Settings, model: str, time: datetime, prediction_id: str) -> dict[str, dict[str, bool]]:
    """What the customer did with each product, as the day's table knows it; nothing while there is none."""
    published = day_folder(settings, model, time.date()) / "shown.parquet"
    if not published.exists():
        return {}
    columns = ["product_id", *OUTCOMES]
    rows = pq.read_table(published, columns=columns, filters=pc.field("prediction_id") == prediction_id).to_pylist()
    return {row["product_id"]: {name: row[name] for name in OUTCOMES} for row in rows}
