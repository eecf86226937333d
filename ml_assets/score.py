"""The command `score`: a file of features ranked, or a file of events predicted."""

from __future__ import annotations

import argparse

from rich.console import Console

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.registry.versions import VersionRef


def score(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    """Rank or predict the file that the arguments name, and say what became of it."""
    from ml_assets.registry.pointer import pointer_path, require_pointer
    from ml_assets.registry.versions import load_version, versions_home

    version = given.version or require_pointer(pointer_path(settings, spec.name)).model_version
    ref = load_version(versions_home(settings, spec.name) / version)
    return (_score_lists if spec.ranks else _score_events)(settings, spec, ref, given, console)


def _score_lists(
    settings: Settings, spec: ModelSpec, ref: VersionRef, given: argparse.Namespace, console: Console
) -> int:
    from rich.progress import Progress

    from ml_assets.scoring.scored_file import score_file

    keys = given.keys.split(",") if given.keys else [spec.entity, spec.time, spec.item]
    with Progress(console=console, transient=True) as shown:
        task = shown.add_task(f"{given.frame.name} by {ref.version}", total=None)
        rows = score_file(
            ref,
            given.frame,
            given.out,
            keys,
            spec.serving.k if given.k is None else given.k,
            threads=settings.threads,
            progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    console.print(f"{given.out}: {rows:,} rows ranked by version {ref.version}", soft_wrap=True)
    return 0


def _score_events(
    settings: Settings, spec: ModelSpec, ref: VersionRef, given: argparse.Namespace, console: Console
) -> int:
    from rich.progress import Progress

    from feature_repo.store import open_store
    from ml_assets.datasets.provenance import spec_of
    from ml_assets.scoring.scored_events import Scorer, score_events

    if given.keys or given.k:
        raise ValueError(f"{spec.name} ranks nothing: --keys and --k are for rankings")
    with Progress(console=console, transient=True) as shown:
        task = shown.add_task(f"{given.frame.name} by {ref.version}", total=None)
        found = score_events(
            Scorer(spec_of(ref, spec), settings, open_store(settings), ref),
            given.frame,
            given.out,
            progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    when = "each event's time" if found.as_of is None else f"{found.as_of:%Y-%m-%d %H:%M}"
    if found.read_as:
        console.print(found.read_as, soft_wrap=True)
    if found.rejected:
        console.print(f"{found.rejected}: {found.rows_rejected:,} rows that are no events, with why", soft_wrap=True)
    text = f"{found.path}: {found.rows:,} events by version {ref.version}, features as of {when}"
    unknown = [f"{count:,} events with a {key} of which nothing is known" for key, count in found.unknown.items()]
    console.print(f"{text}; {', '.join(unknown) or 'every key is known'}", soft_wrap=True)
    return 0
