"""From an address in a shop's YAML to the files of a range of days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ml_assets.ingestion.errors import IngestionError
from ml_assets.ingestion.sources.journal import Journal
from ml_assets.ingestion.sources.references import References
from ml_assets.ingestion.spec import Format, TableSpec
from ml_assets.settings import PROJECT, Settings

SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}


@dataclass(frozen=True)
class SourceFile:
    """One raw file.

    Attributes:
        path: where it is.
        label: what quarantine and ledger call it, the same on every machine.
        format: how to read it.
        day: the partition its rows belong to; none where a column says so.
    """

    path: Path
    label: str
    format: Format
    day: date | None


def stamp_of(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time in nanoseconds: another stamp means that the file was written again."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def address_of(table: TableSpec, settings: Settings) -> str:
    """The table's address with everything but `{day}` substituted.

    `settings.data` replaces it where the table allows; a folder given for an address with `{day}` keeps its
    file name.

    Raises:
        IngestionError: when an environment variable that it names as `${NAME}` is not set.
    """
    address = table.address
    if table.override and settings.data:
        keeps_name = "{day}" in address and "{day}" not in settings.data
        address = f"{settings.data.rstrip('/')}/{Path(address).name}" if keeps_name else settings.data
    address = References(f"tables.{table.name}.address").resolve(address)
    return address.replace("{landing}", str(settings.landing)).replace("{project}", str(PROJECT))


def source_files(table: TableSpec, settings: Settings, days: Sequence[date]) -> list[SourceFile]:
    """The raw files of these days, in the order their rows count as earlier and later.

    Raises:
        IngestionError: when a day (or, without `{day}` in the address, everything) has no file.
    """
    address = address_of(table, settings)
    if "{day}" not in address:
        paths = _expand(address)
        if not paths:
            remedy = (
                "put the file there or point the setting ML_ASSETS_DATA at it" if table.override else "put it there"
            )
            raise IngestionError(f"no file for table {table.name}", file=address, remedy=remedy)
        return [_source_file(path, address, table, None) for path in paths]
    found = {day: _expand(address.replace("{day}", day.isoformat())) for day in days}
    missing = [day for day, paths in found.items() if not paths]
    if table.source is not None:
        _check_complete(table, settings, days)
    elif missing:
        first = address.replace("{day}", missing[0].isoformat())
        others = f" (and {len(missing) - 1} more days, to {missing[-1]})" if len(missing) > 1 else ""
        remedy = "deliver it (with no rows when nothing happened) and run the day again"
        raise IngestionError(f"no file for {table.name} of {missing[0]}{others}", file=first, remedy=remedy)
    return [_source_file(path, address, table, day) for day, paths in found.items() for path in paths]


def _check_complete(table: TableSpec, settings: Settings, days: Sequence[date]) -> None:
    """A landed table's days are whole up to where its journal says so; such a day without files had no rows."""
    journal = Journal(settings.landing / table.name)
    if table.source is not None and table.source.by_day:
        waiting = sorted(set(days) - set(journal.days_since(0)))
    else:
        complete_to = journal.complete_to
        waiting = [day for day in days if complete_to is None or day > complete_to]
    if waiting:
        problem = f"{table.name} of {waiting[0]} has not landed completely"
        remedy = "land it (job `land`), or wait until the day is over at the source, and run the day again"
        raise IngestionError(problem, file=journal.folder, remedy=remedy)


def _expand(address: str) -> list[Path]:
    path = Path(address)
    if path.is_dir():
        return sorted(child for child in path.iterdir() if child.suffix in SUFFIXES and child.is_file())
    if any(sign in address for sign in "*?["):
        root = _fixed_part(address)
        return sorted(found for found in root.glob(str(path.relative_to(root))) if found.is_file())
    return [path] if path.exists() else []


def _fixed_part(address: str) -> Path:
    """The folder above the first part of the address that varies."""
    fixed = Path()
    for part in Path(address).parts[:-1]:
        if any(sign in part for sign in "*?[{"):
            break
        fixed /= part
    return fixed


def _source_file(path: Path, address: str, table: TableSpec, day: date | None) -> SourceFile:
    form = table.format or SUFFIXES.get(path.suffix)
    if form is None:
        known = ", ".join(sorted(SUFFIXES))
        remedy = f"say `format:` in the shop's YAML, or use one of the suffixes {known}"
        raise IngestionError(f"unknown format {path.suffix!r}", file=path, remedy=remedy)
    root = Path(address) if Path(address).is_dir() else _fixed_part(address)
    return SourceFile(path, path.relative_to(root).as_posix(), form, day)
