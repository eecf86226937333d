"""`python -m serving status|stop [MODEL]`: what serves, and how to end it (`run` is for `process.start`)."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ml_assets.settings import Settings, load_settings
from serving.process import status, stop

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
    for option in ("home", "shop", "host", "port", "scratch"):
        run.add_argument(f"--{option}", required=True)
    run.add_argument("--replay", action="store_true")
    given = parser.parse_args()
    if given.command == "run":
        _become_server(given)
    settings = load_settings()
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
    secret = load_settings().redis_password  # by the environment: arguments are for everybody to read
    where = {name: getattr(given, name) for name in ("home", "shop", "host", "port", "replay")}
    Settings(**where, redis_password=secret).export()
    # BentoML empties a folder below its home when it starts: each server gets its own.
    os.environ["BENTOML_HOME"] = given.scratch
    os.environ["OMP_NUM_THREADS"] = "1"
    serve = ["-m", "bentoml", "serve", str(given.bento), "--host", given.host, "--port", given.port]
    serve += ["--timeout-graceful-shutdown", GRACE]
    os.chdir(given.bento)
    os.execv(sys.executable, [sys.executable, *serve])  # noqa: S606 - the process id must stay


if __name__ == "__main__":
    sys.exit(main())
