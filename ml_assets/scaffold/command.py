"""`python -m ml_assets scaffold FILE`: from one file to everything a model is made of."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from pathlib import Path

from rich.console import Console

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.config.settings import PROJECT, Settings
from ml_assets.scaffold.ask import wanted
from ml_assets.scaffold.errors import ScaffoldError
from ml_assets.scaffold.label_stats import measure
from ml_assets.scaffold.plan import Plan, plan
from ml_assets.scaffold.profile import look
from ml_assets.scaffold.render import render
from ml_assets.scaffold.validate import validate
from ml_assets.scaffold.write import check_names, next_port_offset, write


def run(settings: Settings, given: argparse.Namespace, project: Path = PROJECT) -> int:
    """Look, ask, decide, write, and say what to do next; errors are for people."""
    console = Console(highlight=False, markup=False, emoji=False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is half done is undone
    try:
        made, paths = scaffold(given, project, console if sys.stdin.isatty() else None)
    except (ScaffoldError, IngestionError) as error:
        print(error, file=sys.stderr)
        return 1
    _tell(console, made, paths, project, settings)
    return 0


def scaffold(given: argparse.Namespace, project: Path, console: Console | None) -> tuple[Plan, list[Path]]:
    """Create everything; the plan, and the files that are new or changed.

    Raises:
        ScaffoldError: when the file, an answer or a name does not do; nothing was written.
        IngestionError: when the file cannot be read.
    """
    with look(given.file) as seen:
        answers = wanted(given, seen, console)
        made = plan(seen, measure(seen, answers), answers, project, next_port_offset(project, answers.name))
    files = render(made)
    check_names(made, project, files)
    validate(files)
    return made, write(files, project, force=given.force)


def _tell(console: Console, made: Plan, paths: list[Path], project: Path, settings: Settings) -> None:
    def say(line: str = "") -> None:
        console.print(line, soft_wrap=True)

    if not paths:
        say("nothing changed: every file is there as it would be written")
    for path in paths:
        say(f"wrote {path.relative_to(project)}")
    for note in made.notes:
        say(f"- {note}")
    body = shlex.quote(json.dumps(made.example, ensure_ascii=False))
    port = settings.port + made.port_offset
    say("\nLook at the comments in these files, then:\n")
    say('eval "$(.venv/bin/python -m ml_assets env)" && export PATH=$PWD/.venv/bin:$PATH')
    say("dg check defs")
    say(f"dg launch --job {made.source}_ingest --partition-range {made.first}...{made.last}")
    say(f"dg launch --job {made.source}_train")
    say(f"curl -s localhost:{port}/{made.model} -H 'content-type: application/json' -d {body}")
