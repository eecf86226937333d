"""From an address in a shop's YAML to the files of a range of days."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path

from ml_assets.config.day_address import has_day, with_day
from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.references import References
from ml_assets.config.settings import PROJECT, Settings
from ml_assets.config.source_spec import Format, TableSpec
from ml_assets.ingestion.connectors.journal import Journal
from ml_assets.ingestion.connectors.landed import check_landed
from ml_assets.storage.files import exact_name

SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}


NAME = re.compile(r"/(?![^{}]*\})")
"""Between the parts of an address; `{day:%Y/%m/%d}` is one."""


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


def address_of(table: TableSpec, settings: Settings) -> str:
    """The table's address with everything but `{day}` substituted.

    `settings.data` replaces it where the table allows; a folder given for an address with `{day}` keeps its
    file name.

    Raises:
        IngestionError: when an environment variable that it names as `${NAME}` is not set.
    """
    address = table.address
    if table.override and settings.data:
        keeps_name = has_day(address) and not has_day(settings.data)
        address = f"{settings.data.rstrip('/')}/{NAME.split(address)[-1]}" if keeps_name else settings.data
    address = References(f"tables.{table.name}.address").resolve(address)
    return address.replace("{landing}", str(settings.landing)).replace("{project}", str(PROJECT))


def files_there(table: TableSpec, settings: Settings, days: Sequence[date]) -> dict[date, list[SourceFile]]:
    """What lies there of these days, whatever it is and whether it should; of no `{day}` in the address, all for each.

    Raises:
        IngestionError: when a file's format or name cannot be read.
    """
    address = address_of(table, settings)
    if not has_day(address):
        found = [_source_file(path, address, table, None) for path in _expand(address)]
        return {day: found for day in days}  # noqa: C420  # nobody changes it
    return {day: [_source_file(path, address, table, day) for path in _expand(with_day(address, day))] for day in days}


def source_files(table: TableSpec, settings: Settings, days: Sequence[date]) -> list[SourceFile]:
    """The raw files of these days, in the order their rows count as earlier and later.

    Raises:
        IngestionError: when a day (or, without `{day}` in the address, everything) has no file, or a landed one is not
            as it landed.
    """
    address = address_of(table, settings)
    there = files_there(table, settings, days)
    missing = [day for day, files in there.items() if not files]
    if not has_day(address):
        if missing:
            remedy = (
                "put the file there or point the setting ML_ASSETS_DATA at it" if table.override else "put it there"
            )
            raise IngestionError(f"no file for table {table.name}", file=address, remedy=remedy)
        return there[days[0]]
    found = list(chain.from_iterable(there.values()))
    if table.source is not None:
        _check_kept(table, settings, days)
        _check_complete(table, settings, days)
        check_landed(table.name, _journal(table, settings), days, (file.path for file in found))
    elif missing:
        first = with_day(address, missing[0])
        others = f" (and {len(missing) - 1} more days, to {missing[-1]})" if len(missing) > 1 else ""
        remedy = "deliver it (with no rows when nothing happened) and run the day again"
        raise IngestionError(f"no file for {table.name} of {missing[0]}{others}", file=first, remedy=remedy)
    return found


def _journal(table: TableSpec, settings: Settings) -> Journal:
    return Journal(settings.landing / table.name)


def kept_days(table: TableSpec, settings: Settings, days: Sequence[date]) -> list[date]:
    """Those days whose landed files were not removed on purpose; what was made of the others stays as it is."""
    until = None if table.source is None else _journal(table, settings).pruned_to
    return [day for day in days if until is None or day > until]


def _check_kept(table: TableSpec, settings: Settings, days: Sequence[date]) -> None:
    gone = sorted({*days} - {*kept_days(table, settings, days)})
    if gone:
        problem = f"the landed files of {table.name} up to {gone[-1]} were pruned, as ML_ASSETS_KEEP says"
        remedy = f"leave out the days up to {gone[-1]}; what was made of them is kept as it is"
        raise IngestionError(problem, file=_journal(table, settings).folder, remedy=remedy)


def incomplete(table: TableSpec, settings: Settings, days: Sequence[date]) -> list[date]:
    """The days of a landed table that are not whole; a day that is, by its journal, had no rows if it has no files."""
    journal = _journal(table, settings)
    if table.source is not None and table.source.by_day:
        return sorted(set(days) - set(journal.days_since(0)))
    complete_to = journal.complete_to
    return [day for day in days if complete_to is None or day > complete_to]


def _check_complete(table: TableSpec, settings: Settings, days: Sequence[date]) -> None:
    waiting = incomplete(table, settings, days)
    if waiting:
        problem = f"{table.name} of {waiting[0]} has not landed completely"
        remedy = "land it (job `land`), or wait until the day is over at the source, and run the day again"
        raise IngestionError(problem, file=_journal(table, settings).folder, remedy=remedy)


def _expand(address: str) -> list[Path]:
    """The files of an address; what is there by exactly that name is no pattern, whatever signs it has."""
    path = Path(address)
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted(child for child in path.iterdir() if child.suffix in SUFFIXES and child.is_file())
    if any(sign in address for sign in "*?["):
        root = _fixed_part(address)
        return sorted(found for found in root.glob(str(path.relative_to(root))) if found.is_file())
    return []


def _fixed_part(address: str) -> Path:
    """The folder above the first part of the address that varies; a folder of exactly that name does not."""
    fixed = Path()
    for part in Path(address).parts[:-1]:
        if any(sign in part for sign in "*?[{") and not (fixed / part).is_dir():
            break
        fixed /= part
    return fixed


def _source_file(path: Path, address: str, table: TableSpec, day: date | None) -> SourceFile:
    form = table.format or SUFFIXES.get(path.suffix)
    if form is None:
        known = ", ".join(sorted(SUFFIXES))
        remedy = f"say `format:` in the shop's YAML, or use one of the suffixes {known}"
        raise IngestionError(f"unknown format {path.suffix!r}", file=path, remedy=remedy)
    try:
        exact_name(path)
    except ValueError as error:
        raise IngestionError("its name cannot be read", file=path, remedy="rename the file") from error
    root = Path(address) if Path(address).is_dir() else _fixed_part(address)
    return SourceFile(path, path.relative_to(root).as_posix(), form, day)
