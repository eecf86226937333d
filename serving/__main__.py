"""`python -m serving status|stop [MODEL]`: what serves, and how to end it (`run` is for `process.start`)."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ml_assets.config.settings import Settings, load_settings
from ml_assets.config.yaml_file import ConfigError
from serving.deploy.process import status, stop
from serving.http.admission import open_to_all

GRACE = "5"
"""Seconds that requests under way get when the server is stopped."""


def main() -> int:
    """Run one command; 0 when it did or found something."""
    parser = argparse.ArgumentParser(prog="python -m serving", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, explained in (("status", "show the servers that run"), ("stop", "stop them")):
        command = commands.add_parser(name, help=explained)
        command.add_argument("model", nargs="?", help="only this model's")
    run = commands.add_parser("run", help="become the server of a bento (internal)")
    run.add_argument("bento", type=Path)
    run.add_argument("--scratch", required=True)
    given = parser.parse_args()
    if given.command == "run":
        _become_server(given)
    try:
        settings = load_settings()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    models = [given.model] if given.model else sorted(path.name for path in settings.shop_home.glob("models/*"))
    found = [_act(given.command, settings, model) for model in models]
    if not any(found):
        print("no server runs")
    return 0 if any(found) else 1


def _act(command: str, settings: Settings, model: str) -> bool:
    handle = status(settings, model)
    if command == "stop":
        stopped = stop(settings, model)
        if stopped:
            print(f"{model}: stopped")
        return stopped
    if handle:
        print(f"{model}: {handle.tag} at {handle.url}, process {handle.pid}, log {handle.log}")
    return handle is not None


def _become_server(given: argparse.Namespace) -> None:
    settings = load_settings()  # by the environment: arguments are for everybody to read
    warning = open_to_all(settings.host, settings)
    if warning:
        print(warning, file=sys.stderr, flush=True)
    # BentoML empties a folder below its home when it starts: each server gets its own.
    os.environ["BENTOML_HOME"] = given.scratch
    serve = ["-m", "bentoml", "serve", str(given.bento), "--host", settings.host, "--port", str(settings.port)]
    serve += ["--timeout-graceful-shutdown", GRACE]
    os.chdir(given.bento)
    os.execv(sys.executable, [sys.executable, *serve])  # noqa: S606 - the process id must stay


if __name__ == "__main__":
    sys.exit(main())
