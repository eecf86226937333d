"""Remove what is older than it is kept, unless something needs it; said first, and noted in a journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.config.settings import Settings
from ml_assets.retention import histories, raw
from ml_assets.retention.aside import size_of, sweep, take_away
from ml_assets.retention.kinds import FILE_KINDS, FileKind
from ml_assets.retention.needed import UnclearError
from ml_assets.retention.tables import GOOD, QUARANTINE
from ml_assets.storage import journal
from ml_assets.storage.file_lock import file_lock

if TYPE_CHECKING:
    from dagster import DagsterInstance

Remove = Callable[[], None]


@dataclass(frozen=True)
class Pruned:
    """What of a kind is old: names, bytes, and why some of it was left alone, if it was."""

    kind: str
    days: int
    names: tuple[str, ...]
    size: int
    left: str | None = None

    @property
    def text(self) -> str:
        """One line."""
        if self.left:
            return f"{self.kind}: left alone: {self.left}"
        shown = f"{self.names[0]} to {self.names[-1]}" if len(self.names) > 1 else self.names[0]
        return f"{self.kind}: {len(self.names):,} older than {self.days} days, {self.size / 1e6:,.1f} MB ({shown})"


def pruned_journal(settings: Settings) -> Path:
    """Where what was removed is noted, before it is."""
    return settings.shop_home / "pruned.jsonl"


def prune(
    settings: Settings, instance: DagsterInstance | None, *, now: datetime | None = None, dry_run: bool = False
) -> list[Pruned]:
    """Remove what is older than `settings.keep` says; kinds of which nothing is old are left out.

    Killed anywhere, the next call does what is left. What cannot be told for sure to be needless stays.

    Args:
        settings: the deployment; of its shop.
        instance: Dagster's; None: its runs are left alone.
        now: the moment that counts.
        dry_run: only tell.
    """
    now = now or datetime.now(UTC)
    with file_lock(settings.shop_home / ".retention.lock"):
        if not dry_run:
            sweep(settings)
        told = [*_files(settings, now, dry_run), *_rows(settings, now, dry_run)]
        told += _histories(settings, instance, now, dry_run)
        if not dry_run:
            sweep(settings)
    return told


def _before(settings: Settings, kind: str, now: datetime) -> tuple[int, datetime] | None:
    days = getattr(settings.keep, kind)
    return None if days is None else (days, now - timedelta(days=days))


def _files(settings: Settings, now: datetime, dry_run: bool) -> Iterator[Pruned]:
    for kind in FILE_KINDS:
        kept = _before(settings, kind.name, now)
        for owner in kind.owners(settings) if kept else ():
            assert kept is not None  # noqa: S101  # no owner otherwise
            try:
                found = _of_files(settings, kind, owner, kept, dry_run)
            except (UnclearError, OSError, ValueError) as error:
                found = Pruned(kind.name, kept[0], (), 0, str(error).splitlines()[0])
            if found:
                yield found


def _of_files(
    settings: Settings, kind: FileKind, owner: str, kept: tuple[int, datetime], dry_run: bool
) -> Pruned | None:
    days, before = kept
    with kind.lock(settings, owner):
        old = list(kind.find(settings, owner, before))
        size = sum(size_of(path) for each in old for path in each.paths)
        if not old:
            return None
        told = Pruned(kind.name, days, tuple(each.name for each in old), size)
        if not dry_run:
            _note(settings, told)
            kind.note(settings, owner, old)
            for each in old:
                take_away(settings, each.paths)
    return told


def _rows(settings: Settings, now: datetime, dry_run: bool) -> Iterator[Pruned]:
    """Good rows, quarantined rows and landed files of each raw table."""
    for source, table in raw.tables(settings):
        for kind, end in (("lake", GOOD), ("quarantine", QUARANTINE)):
            kept = _before(settings, kind, now)
            if kept and not (kind == "lake" and raw.looked_up(source, table)):
                days = raw.old_days(settings, table, end, kept[1])
                names, size = tuple(f"{table.name}/{day}" for day in days), raw.size_of_days(settings, table, end, days)
                remove = partial(raw.empty_days, settings, table, end, days)
                yield from _done(settings, Pruned(kind, kept[0], names, size), remove, dry_run)
        if kept := _before(settings, "landing", now):
            folders = raw.old_landings(settings, table, kept[1])
            names, size = tuple(f"{table.name}/{path.name}" for path in folders), sum(map(size_of, folders))
            remove = partial(raw.prune_landings, settings, table, kept[1])
            yield from _done(settings, Pruned("landing", kept[0], names, size), remove, dry_run)


def _histories(settings: Settings, instance: DagsterInstance | None, now: datetime, dry_run: bool) -> Iterator[Pruned]:
    if kept := _before(settings, "trials", now):
        try:
            trials = histories.old_trials(settings, kept[1])
        except UnclearError as error:
            yield Pruned("trials", kept[0], (), 0, str(error))
        else:
            names, size = tuple(run.info.run_id for run in trials), histories.size_of_trials(trials)
            remove = partial(histories.remove_trials, settings, trials)
            yield from _done(settings, Pruned("trials", kept[0], names, size), remove, dry_run)
    if instance is not None and (kept := _before(settings, "runs", now)):
        ids = histories.old_runs(instance, kept[1])
        size = sum(size_of(path) for run in ids for path in histories.run_files(settings, run))
        remove = partial(histories.remove_runs, settings, instance, ids)
        yield from _done(settings, Pruned("runs", kept[0], tuple(ids), size), remove, dry_run)


def _done(settings: Settings, told: Pruned, remove: Remove, dry_run: bool) -> Iterator[Pruned]:
    if told.names:
        if not dry_run:
            _note(settings, told)
            remove()
        yield told


def _note(settings: Settings, told: Pruned) -> None:
    said = {"kind": told.kind, "days": told.days, "bytes": told.size, "names": list(told.names)}
    journal.append(pruned_journal(settings), said)
