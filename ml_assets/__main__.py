"""`python -m ml_assets <command>`: what the Makefile calls."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from contextlib import suppress
from typing import NoReturn

from ml_assets import operate, rebuild
from ml_assets.config.settings import (
    PROJECT,
    QUIET,
    SECRETS,
    VARIABLES,
    Settings,
    load_settings,
    require_shop,
    unknown_variables,
)
from ml_assets.config.store_address import has_password
from ml_assets.config.yaml_file import ConfigError
from ml_assets.execution.one_daemon import require_no_daemon
from ml_assets.execution.process_group import end_noted, own_group
from ml_assets.execution.runs import dagster_home, free_what_dead_runs_hold
from ml_assets.retention import commands as leaving
from ml_assets.scaffold import flags
from ml_assets.web import pages


def parser() -> argparse.ArgumentParser:
    """Every command with its arguments."""
    made = argparse.ArgumentParser(prog="python -m ml_assets", description=__doc__)
    commands = made.add_subparsers(dest="command", required=True)
    for name, (explained, _) in COMMANDS.items():
        commands.add_parser(name, help=explained)
    operate.add_commands(commands)
    flags.add_command(commands)
    leaving.add_commands(commands)
    rebuild.add_command(commands)
    return made


def main() -> int:
    """Run one command and return its exit status."""
    try:
        return _run(parser().parse_args())
    except (ConfigError, pages.PagesError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


class Ended(SystemExit):
    """Somebody has told this process to end."""


def _end(*_: object) -> NoReturn:
    raise Ended(128 + signal.SIGTERM)


def _run(given: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _end)  # so that what this process has started ends with it
    settings = load_settings()
    require_shop(settings)
    for text in unknown_variables(os.environ, settings):
        print(f"warning: {text}", file=sys.stderr)
    settings.export()
    if given.command not in operate.FILES_ONLY:
        dagster_home(settings)
    if given.command == flags.NAME:
        from ml_assets.scaffold.command import run

        return run(settings, given)
    if given.command == rebuild.NAME:
        return rebuild.run(settings, given)
    if given.command in leaving.COMMANDS:
        return leaving.COMMANDS[given.command](settings, given)
    return COMMANDS[given.command][1](settings) if given.command in COMMANDS else operate.run(settings, given)


def _demo(settings: Settings) -> int:
    from ml_assets.demo import run_demo

    return run_demo(settings)


def _demo_loop(settings: Settings) -> int:
    from ml_assets.demo.loop.run import run_loop

    return run_loop(settings)


def _ui(settings: Settings) -> int:
    command = pages.ui_command(settings)
    require_no_daemon(settings.dagster_home)
    free_what_dead_runs_hold()
    print(f"Dagster on {settings.ui_url} for the shop {settings.shop}; ctrl-C or `make stop` ends it")
    return _serve(settings, "ui", command, pages.warning(settings, pages.UI, settings.ui_host))


def _mlflow_ui(settings: Settings) -> int:
    command = pages.mlflow_command(settings)
    print(f"MLflow on {settings.mlflow_url} for the shop {settings.shop}; ctrl-C or `make stop` ends it")
    os.environ["MLFLOW_BACKEND_STORE_URI"] = settings.mlflow_uri  # arguments are for everybody to read
    return _serve(settings, "mlflow", command, pages.warning(settings, pages.MLFLOW, settings.mlflow_host))


def _serve(settings: Settings, name: str, command: list[str], warning: str | None) -> int:
    """Serve pages until they end or somebody ends this process, which is how they are ended: then 0."""
    if warning:
        print(warning, file=sys.stderr)
    sys.stdout.flush()
    note = pages.pages_note(settings, name)
    with suppress(KeyboardInterrupt, Ended), own_group(command, note=note, cwd=PROJECT) as process:
        status = process.wait()
        return 0 if status in {-signal.SIGTERM, -signal.SIGKILL} else status  # these: by `stop`
    return 0


def _env(settings: Settings) -> int:
    known = {*VARIABLES.values(), *(name for name in settings.exported if name.startswith("ML_ASSETS_"))}
    names = sorted(known & os.environ.keys())  # another one does nothing, and may be a misspelt secret
    for name in [*names, "DAGSTER_HOME", "MLFLOW_TRACKING_URI", "BENTOML_HOME", *QUIET]:
        if _is_secret(settings, name):
            print(f"# {name} is not printed: it is or has a secret, which the commands read from where you set it")
        else:
            print(f"export {name}={shlex.quote(os.environ[name])}")
    return 0


def _is_secret(settings: Settings, name: str) -> bool:
    """Whether a variable is a secret or has one in it, or came with one that would be lost by exporting it without."""
    if name in SECRETS or has_password(os.environ[name]):
        return bool(os.environ[name])
    return name == VARIABLES["online_store_address"] and settings.redis_password is not None


def _stop(settings: Settings) -> int:
    from serving.deploy.process import stop

    for note in sorted(settings.home.glob("*/processes/*.json")):
        if end_noted(note):
            print(f"stopped {note.stem} of {note.parent.parent.name}")
    shops = {path.parent.parent.name for path in settings.home.glob("*/models/*")}
    for shop in sorted(shops):
        here = settings.model_copy(update={"shop": shop})
        for model in sorted(path.name for path in here.shop_home.glob("models/*")):
            if stop(here, model):
                print(f"stopped {model} of {shop}")
    return 0


def _reference(settings: Settings) -> int:
    from ml_assets.definitions import loaded
    from ml_assets.reference import pages, write

    for path in write(pages(parser(), loaded(settings).resolve_asset_graph())):
        print(f"changed: {path.relative_to(PROJECT)}")
    return 0


def _schemas(settings: Settings) -> int:
    from ml_assets.schemas import write_schemas

    for path in write_schemas():
        print(path.relative_to(PROJECT))
    return 0


COMMANDS = {
    "demo": ("raw events to a running model server, with a summary", _demo),
    "demo-loop": ("a shop's whole life in minutes: drift, retraining, release, rollback", _demo_loop),
    "ui": ("Dagster's webserver and daemon", _ui),
    "mlflow-ui": ("MLflow's pages", _mlflow_ui),
    "env": ('print the environment for other tools, without secrets: eval "$(python -m ml_assets env)"', _env),
    "schemas": ("write the JSON schemas of the YAML files, for editors", _schemas),
    "stop": ("stop every model server under this home, and the pages of `ui` and `mlflow-ui`", _stop),
    "reference": ("make docs/reference/ from the code it describes", _reference),
}

if __name__ == "__main__":
    sys.exit(main())
