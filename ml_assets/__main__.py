"""`python -m ml_assets <command>`: what the Makefile calls."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from typing import NoReturn

from ml_assets import operate
from ml_assets.runs import dagster_home
from ml_assets.scaffold import flags
from ml_assets.settings import PROJECT, QUIET, Settings, load_settings


def parser() -> argparse.ArgumentParser:
    """Every command with its arguments."""
    made = argparse.ArgumentParser(prog="python -m ml_assets", description=__doc__)
    commands = made.add_subparsers(dest="command", required=True)
    for name, (explained, _) in COMMANDS.items():
        commands.add_parser(name, help=explained)
    operate.add_commands(commands)
    flags.add_command(commands)
    return made


def main() -> int:
    """Run one command and return its exit status."""
    given = parser().parse_args()
    settings = load_settings()
    settings.export()
    dagster_home(settings)
    if given.command == flags.NAME:
        from ml_assets.scaffold.command import run

        return run(settings, given)
    return COMMANDS[given.command][1](settings) if given.command in COMMANDS else operate.run(settings, given)


def _demo(settings: Settings) -> int:
    from ml_assets.demo import run_demo

    return run_demo(settings)


def _demo_loop(settings: Settings) -> int:
    from ml_assets.demo.loop.run import run_loop

    return run_loop(settings)


def _ui(settings: Settings) -> int:
    port = str(settings.ui_port)
    print(f"Dagster on http://{settings.host}:{port} for the shop {settings.shop}; ctrl-C ends it")
    _become("dagster", "dev", "-w", str(PROJECT / "workspace.yaml"), "-h", settings.host, "-p", port)


def _mlflow_ui(settings: Settings) -> int:
    port = str(settings.mlflow_port)
    print(f"MLflow on http://{settings.host}:{port} for the shop {settings.shop}; ctrl-C ends it")
    _become(
        "mlflow", "ui", "--backend-store-uri", settings.mlflow_uri, "--host", settings.host, "--port", port,
        "--default-artifact-root", str(settings.mlflow_artifacts), "--workers", "1",
    )  # fmt: skip


def _become(module: str, *arguments: str) -> NoReturn:
    os.chdir(PROJECT)
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606  # ctrl-C must reach it


def _env(settings: Settings) -> int:
    names = sorted(name for name in os.environ if name.startswith("ML_ASSETS_"))
    for name in [*names, "DAGSTER_HOME", "MLFLOW_TRACKING_URI", "BENTOML_HOME", *QUIET]:
        print(f"export {name}={shlex.quote(os.environ[name])}")
    return 0


def _stop(settings: Settings) -> int:
    from serving.process import stop

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
    "env": ('print the environment for other tools: eval "$(python -m ml_assets env)"', _env),
    "schemas": ("write the JSON schemas of the YAML files, for editors", _schemas),
    "stop": ("stop every model server under this home", _stop),
    "reference": ("make docs/reference/ from the code it describes", _reference),
}

if __name__ == "__main__":
    sys.exit(main())
