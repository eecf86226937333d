"""What a person does to a running model from the terminal: ask why, go back, look at what served."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from ml_assets.learning.spec import ModelSpec, model_spec, model_specs
from ml_assets.registry.versions import VersionRef
from ml_assets.settings import Settings

Command = Callable[[Settings, ModelSpec, argparse.Namespace, Console], int]


def add_commands(commands: Any) -> None:
    """Add the commands to an argument parser's subparsers."""
    models = [spec.name for spec in model_specs()]
    for name, (explained, arguments, _) in COMMANDS.items():
        command = commands.add_parser(name, help=explained)
        for flags, options in arguments:
            command.add_argument(*flags, **options)
        if name in NAMING:
            command.add_argument("model", choices=models)
        else:
            command.add_argument("--model", choices=models, default=models[0])


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Run one of them; errors that are for people are printed as such."""
    console = Console(highlight=False)
    try:
        return COMMANDS[given.command][2](settings, model_spec(given.model), given, console)
    except (LookupError, ValueError, OSError, RuntimeError) as error:
        console.print(f"[red]{error}[/]", soft_wrap=True)
        return 1


def _why(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    from ml_assets.why import show, why

    explanation = why(settings, spec, given.prediction_id)
    if given.json:
        print(explanation.model_dump_json(indent=1))
    else:
        show(console, explanation)
    return 0


def _reproduce(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    from ml_assets.why import reproduce

    found = reproduce(settings, spec, given.version)
    console.print(found.text, soft_wrap=True)
    return 0 if found.same else 1


def _rollback(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    from ml_assets.release import roll_back

    pointer = roll_back(settings, spec, given.reason)
    console.print(f"{spec.name}: version {pointer.model_version} serves now")
    return 0


def _release(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    from ml_assets.registry.release import read_release, release_path
    from ml_assets.registry.versions import versions_home
    from ml_assets.release import begin

    if given.version:
        begin(settings, spec, versions_home(settings, spec.name) / given.version, given.reason, force=given.force)
    release = read_release(release_path(settings, spec.name))
    text = "no release under way" if release is None else json.dumps(release.model_dump(mode="json"), indent=1)
    console.print(text)
    return 0


def _served_at(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    from ml_assets.release import served_at

    moment = datetime.fromisoformat(given.time)
    found = served_at(settings, spec.name, moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    console.print(found.text, soft_wrap=True)
    return 0


def _score(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    from ml_assets.registry.pointer import pointer_path, require_pointer
    from ml_assets.registry.versions import load_version, versions_home

    version = given.version or require_pointer(pointer_path(settings, spec.name)).model_version
    ref = load_version(versions_home(settings, spec.name) / version)
    return (_score_lists if spec.ranks else _score_events)(settings, spec, ref, given, console)


def _score_lists(
    settings: Settings, spec: ModelSpec, ref: VersionRef, given: argparse.Namespace, console: Console
) -> int:
    from rich.progress import Progress

    from ml_assets.learning.scored_file import score_file

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
    from ml_assets.learning.scored_events import Scorer, score_events

    if given.keys or given.k:
        raise ValueError(f"{spec.name} ranks nothing: --keys and --k are for rankings")
    with Progress(console=console, transient=True) as shown:
        task = shown.add_task(f"{given.frame.name} by {ref.version}", total=None)
        found = score_events(
            Scorer(spec, settings, open_store(settings), ref),
            given.frame,
            given.out,
            progress=lambda done, total: shown.update(task, completed=done, total=total),
        )
    when = "each event's time" if found.as_of is None else f"{found.as_of:%Y-%m-%d %H:%M}"
    text = f"{found.path}: {found.rows:,} events by version {ref.version}, features as of {when}"
    console.print(text, soft_wrap=True)
    if found.rejected:
        console.print(f"{found.rejected}: {found.rows_rejected:,} rows that are no events, with why", soft_wrap=True)
    return 0


def _check_model(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    from ml_assets.conformance.show import check_and_show

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # its server and its folder end with it, as by ctrl-C
    return check_and_show(settings, spec, console)


def _stream(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    from serving.stream_process import become_stream

    if spec.serving.streaming is None:
        raise ValueError(
            f"{spec.name} has no serving.streaming: add it to its YAML, and materialize {spec.name}/service"
        )
    become_stream(settings, spec.name)


NAMING = ("check-model",)
"""Commands that name their model instead of taking the first one."""
REASON = (("--reason",), {"default": "by hand", "help": "for the journal"})
COMMANDS: dict[str, tuple[str, list[tuple[tuple[str, ...], dict[str, Any]]], Command]] = {
    "why": (
        "why a prediction was made: request, sources, features, contributions, data",
        [
            (("prediction_id",), {"help": "from an answer of the service"}),
            (("--json",), {"action": "store_true", "help": "for programs"}),
        ],
        _why,
    ),
    "check-model": (
        "put a model's champion through the conformance suite; 0 only when nothing failed",
        [],
        _check_model,
    ),
    "reproduce": (
        "retrain a version from its recorded inputs and compare hashes",
        [(("version",), {"help": "version id"})],
        _reproduce,
    ),
    "rollback": ("put the previous version back, or end the release under way", [REASON], _rollback),
    "release": (
        "show the release under way, or begin one",
        [
            (("version",), {"nargs": "?", "help": "version to send out"}),
            (("--force",), {"action": "store_true", "help": "even if it was rolled back before"}),
            REASON,
        ],
        _release,
    ),
    "score": (
        "rank a file of features or predict a file of events, however large; killed, it goes on where it was",
        [
            (
                ("frame",),
                {"type": Path, "help": "Parquet of keys and features; of events Parquet or CSV: id, keys, request"},
            ),
            (
                ("out",),
                {"type": Path, "help": "takes keys, rank and score of the best rows; of events the predictions"},
            ),
            (("--version",), {"help": "version id; the one that serves when none is named"}),
            (("--keys",), {"help": "columns, comma between, the ranked one last; those of the model's spine"}),
            (("--k",), {"type": int, "help": "rows kept per group; as many as the service gives"}),
        ],
        _score,
    ),
    "stream": ("answer the model's topic of requests until ctrl-C or SIGTERM", [], _stream),
    "served-at": (
        "which version served at a time",
        [(("time",), {"help": "ISO 8601, UTC unless it says otherwise"})],
        _served_at,
    ),
}
