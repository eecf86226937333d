"""Small files of events, and a bare project to scaffold into."""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from ml_assets.scaffold.command import scaffold
from ml_assets.scaffold.flags import ARGUMENTS
from ml_assets.scaffold.plan import Plan

Row = dict[str, Any]
FIRST = dt.date(2025, 1, 6)


def events(days: int = 60, a_day: int = 6, **more: Callable[[random.Random, Row], Any]) -> list[Row]:
    """Events of twenty people: id, person, at, age, late (0 or 1), and further columns."""
    draw, rows = random.Random(3), []
    for number in range(days):
        for _ in range(a_day):
            moment = dt.datetime.combine(FIRST + dt.timedelta(days=number), dt.time(draw.randint(8, 17)))
            row: Row = {
                "id": len(rows) + 1,
                "person": f"p{draw.randint(1, 20)}",
                "at": moment,
                "age": draw.randint(1, 90),
            }
            row["late"] = int(draw.random() < 0.3)
            rows.append(row | {name: make(draw, row) for name, make in more.items()})
    return rows


def write_csv(path: Path, rows: Iterable[Row], delimiter: str = ",", encoding: str = "utf8") -> Path:
    rows = list(rows)
    with path.open("w", newline="", encoding=encoding) as opened:
        writer = csv.writer(opened, delimiter=delimiter)
        writer.writerows([list(rows[0]), *(["" if v is None else v for v in row.values()] for row in rows)])
    return path


def write_parquet(path: Path, rows: Iterable[Row]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def flags(file: Path, **given: Any) -> argparse.Namespace:
    """The flags of a call: what is not given is that of `events`."""
    parser = argparse.ArgumentParser()
    for names, options in ARGUMENTS:
        parser.add_argument(*names, **options)
    found = parser.parse_args([str(file)])
    asked = {"name": "lateness", "entity": ["person"], "time": "at", "label": "late", "task": "binary"} | given
    return argparse.Namespace(**{**vars(found), **asked})


MODEL = """\
type: ml_assets.components.TrainedModel
attributes: {name: rain, serving: {port_offset: 12}}
"""


def bare_project(folder: Path) -> Path:
    """Folders of a project with one source, one model and its features, and nothing else."""
    for path, text in {
        "shops/corner.yaml": "tables: {orders: {}}",
        "sources/weather.yaml": "tables: {stations: {}}",
        "dbt_project/models/weather/stg_stations.sql": "select 1",
        "dbt_project/models/staging/stg_orders.sql": "select 1",
        "feature_repo/features/weather.yaml": "entities: {station: {}}\nviews: {station: {}}\nservices: {rain: {}}",
        "feature_repo/entities.py": 'customer = Entity(name="customer")',
        "ml_assets/defs/models/rain/defs.yaml": MODEL,
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def tree(project: Path) -> dict[str, str]:
    """Every file of a project with its text."""
    return {str(path.relative_to(project)): path.read_text() for path in project.rglob("*") if path.is_file()}


def scaffolded(project: Path, file: Path, **given: Any) -> tuple[Plan, list[str]]:
    """Scaffold without a terminal: the plan, and the files written."""
    made, paths = scaffold(flags(file, **given), project, None)
    return made, [str(path.relative_to(project)) for path in paths]


def column(project: Path, name: str) -> Any:
    """A column of the source that was scaffolded."""
    return yaml.safe_load((project / "sources/visits.yaml").read_text())["tables"]["visits"]["columns"][name]
