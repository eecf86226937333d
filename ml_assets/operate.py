"""What a person does to a running model from the terminal: ask why, go back, look at what served."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from ml_assets.learning.spec import ModelSpec, model_spec, model_specs
from ml_assets.settings import Settings

Command = Callable[[Settings, ModelSpec, argparse.Namespace, Console], int]


def add_commands(commands: Any) -> None:
    """Add the commands to an argument parser's subparsers."""
    models = [spec.name for spec in model_specs()]
    for name, (explained, arguments, _) in COMMANDS.items():
        command = commands.add_parser(name, help=explained)
        for flags, options in arguments:
            command.add_argument(*flags, **options)
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
    "served-at": (
        "which version served at a time",
        [(("time",), {"help": "ISO 8601, UTC unless it says otherwise"})],
        _served_at,
    ),
}
