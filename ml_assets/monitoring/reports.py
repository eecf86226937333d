"""Where the reports of a watched model lie: JSON for machines, a page for people beside it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from ml_assets.config.settings import Settings
from ml_assets.storage.files import write_text_atomically


class Report(BaseModel):
    """What is known about one model on one day; immutable, unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


Kind = TypeVar("Kind", bound=BaseModel)


def report_path(settings: Settings, model: str, name: str, day: date, ending: str = "json") -> Path:
    """`<model_home>/monitoring/<name>/<day>.<ending>`."""
    return settings.model_home(model) / "monitoring" / name / f"{day.isoformat()}.{ending}"


def write_report(settings: Settings, model: str, name: str, day: date, report: BaseModel) -> Path:
    """Replace the day's report in one step."""
    path = report_path(settings, model, name, day)
    write_text_atomically(path, report.model_dump_json(indent=2) + "\n")
    return path


def read_report(settings: Settings, model: str, name: str, day: date, kind: type[Kind]) -> Kind:
    """The day's report.

    Raises:
        FileNotFoundError: when the day was not judged yet.
        pydantic.ValidationError: when the file is not such a report; it names the wrong fields.
    """
    path = report_path(settings, model, name, day)
    if not path.exists():
        raise FileNotFoundError(f"no {name} report at {path}: materialize {model}/{name} for {day} first")
    return kind.model_validate_json(path.read_text())
