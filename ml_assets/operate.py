"""What a person does to a running model from the terminal: ask why, go back, look at what served."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from ml_assets.config.model_spec import ModelSpec, model_spec, model_specs
from ml_assets.config.settings import Settings
from ml_assets.score import score

Command = Callable[[Settings, ModelSpec, argparse.Namespace, Console], int]


def add_commands(commands: Any) -> None:
    """Add the commands to an argument parser's subparsers."""
    models = [spec.name for spec in model_specs()]
    for name, (explained, arguments, _) in COMMANDS.items():
        command = commands.add_parser(name, help=explained)
        for flags, options in arguments:
            command.add_argument(*flags, **options)
        if name in NAMING:
            command.add_argument("model", choices=models, help="a model of this deployment")
        else:
            command.add_argument("--model", choices=models)


def run(settings: Settings, given: argparse.Namespace) -> int:
    """Run one of them; errors that are for people are printed as such."""
    console = Console(highlight=False)
    try:
        given.model = given.model or _only_model(settings)
        _warn(settings, given.model)
        return COMMANDS[given.command][2](settings, model_spec(given.model), given, console)
    except (LookupError, ValueError, OSError, RuntimeError) as error:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
        return 1


def _only_model(settings: Settings) -> str:
    """The model that a command is about when none is named: the only one that is deployed; before, the first by name.

    Raises:
        ValueError: when there are several: going back on the wrong one is worse than asking.
    """
    from ml_assets.registry.pointer import pointer_path

    models = [spec.name for spec in model_specs()]
    deployed = [name for name in models if pointer_path(settings, name).exists()]
    found = deployed or models[:1]
    if len(found) > 1:
        raise ValueError(f"which model? say --model: {', '.join(found)}")
    return found[0]


def _warn(settings: Settings, model: str) -> None:
    """Say what is wrong with the model's journals, on the standard error."""
    from ml_assets.journals import damages

    for text in damages(settings, model):
        Console(stderr=True, highlight=False).print(f"[yellow]warning[/]: {escape(text)}", soft_wrap=True)


def _why(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    from ml_assets.explain import show, why

    explanation = why(settings, spec, given.prediction_id)
    if given.json:
        print(explanation.model_dump_json(indent=1))
    else:
        show(console, explanation)
    return 0


def _reproduce(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    from ml_assets.explain import reproduce

    found = reproduce(settings, spec, given.version)
    console.print(found.text, soft_wrap=True)
    return 0 if found.same else 1


def _seal(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    from ml_assets.evaluation.evaluate import RESULT, evaluation_folder
    from ml_assets.evaluation.result import seal_result
    from ml_assets.registry.versions import seal_version, versions_home

    ref = seal_version(versions_home(settings, spec.name) / given.version)
    console.print(f"{ref.path}: sealed; its content has the address {ref.version}", soft_wrap=True)
    result = evaluation_folder(settings, spec.name, ref.version) / RESULT
    if result.exists():
        seal_result(result)
        console.print(f"{result}: sealed as it is now", soft_wrap=True)
    return 0


def _rollback(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    from ml_assets.release import roll_back
    from serving.deploy.taken_up import taken_up

    def tell(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False)

    if given.to is not None and not given.to.strip():
        raise ValueError("--to needs a version; without --to the version before serves again")
    found = taken_up(settings, spec.name, roll_back(settings, spec, given.reason, to=given.to, tell=tell))
    tell(found.text)
    return 0 if found.ok else 1


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
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment > (now := datetime.now(UTC)):
        raise ValueError(f"{moment} lies in the future (it is {now:%Y-%m-%d %H:%M} UTC): say a time that has been")
    found = served_at(settings, spec.name, moment)
    console.print(found.text, soft_wrap=True)
    return 0


def _check_model(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    from ml_assets.conformance.show import check_and_show

    return check_and_show(settings, spec, console)


def _reread_log(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    from ml_assets.prediction_log import day_folder, publish_day, reread
    from ml_assets.prediction_log.set_aside import set_aside, set_aside_path

    found, days = reread(settings, spec.name)
    for day in days:
        if day_folder(settings, spec.name, day).exists():  # other days are published when their turn comes
            publish_day(settings, spec, day)
    console.print(f"{spec.name}: {found.text}", soft_wrap=True)
    if not given.set_aside:
        return int(bool(found.left or found.bad))
    fresh = set_aside(settings, spec.name)
    for each in fresh[:20]:
        console.print(f"  {each.text}", soft_wrap=True, markup=False)
    path = set_aside_path(settings, spec.name)
    console.print(f"{len(fresh):,} bad lines set aside: days go on without them; noted in {path}", soft_wrap=True)
    if found.left:
        console.print("What could not be read is not set aside: put the disk right, or move its segment away")
    return int(bool(found.left))


def _stream(settings: Settings, spec: ModelSpec, given: argparse.Namespace, console: Console) -> int:
    from serving.stream.process import become_stream

    if spec.serving.streaming is None:
        raise ValueError(
            f"{spec.name} has no serving.streaming: add it to its YAML, and materialize {spec.name}/service"
        )
    become_stream(settings, spec.name)


FILES_ONLY = ("rollback", "served-at")
"""Commands that work on a full disk: they need no Dagster instance, and do not prepare one."""
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
    "seal": (
        "let a version and its evaluation count as published that are from before they were sealed with a hash",
        [(("version",), {"help": "version id; refused unless its content has this address"})],
        _seal,
    ),
    "rollback": (
        "put the previous version back, or end the release under way",
        [
            (
                ("--to",),
                {"metavar": "VERSION", "help": "put this published version back instead"},
            ),
            REASON,
        ],
        _rollback,
    ),
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
        score,
    ),
    "reread-log": (
        "read the bad lines of the prediction log again, once their reason is put right; 0 when none is left",
        [
            (
                ("--set-aside",),
                {
                    "action": "store_true",
                    "help": "go on without those that are still bad; they are kept",
                },
            ),
        ],
        _reread_log,
    ),
    "stream": ("answer the model's topic of requests until ctrl-C or SIGTERM", [], _stream),
    "served-at": (
        "which version served at a time",
        [(("time",), {"help": "ISO 8601, UTC unless it says otherwise"})],
        _served_at,
    ),
}
