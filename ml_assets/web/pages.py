"""The commands that serve Dagster's and MLflow's pages, and where they may be served: on this machine, unless told."""

from __future__ import annotations

import sys
from pathlib import Path

from ml_assets.config.settings import PROJECT, VARIABLES, Settings, in_url
from ml_assets.web.guard import is_loopback

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
ANYWHERE = VARIABLES["pages_anywhere"]
UI, MLFLOW = "Dagster's", "MLflow's"


class PagesError(RuntimeError):
    """Pages are not served as asked; the text says what is at risk and what to do."""


def ui_command(settings: Settings) -> list[str]:
    """Dagster's webserver and daemon; the guard comes with the instance (`dagster.yaml`).

    Raises:
        PagesError: when others than this machine could reach the pages and nobody said that they may.
    """
    _require_allowed(settings, UI, settings.ui_host, VARIABLES["ui_host"])
    where = ["-h", settings.ui_host, "-p", str(settings.ui_port)]
    return [sys.executable, "-m", "dagster", "dev", "-w", str(PROJECT / "workspace.yaml"), *where]


def mlflow_command(settings: Settings) -> list[str]:
    """MLflow's pages, with MLflow's own guard told our names: left alone it takes `10.example.com` for an address.

    The address of its database, which may have a password in it, is in the environment: `MLFLOW_BACKEND_STORE_URI`.

    Raises:
        PagesError: as `ui_command`.
    """
    host, port = settings.mlflow_host, str(settings.mlflow_port)
    _require_allowed(settings, MLFLOW, host, VARIABLES["mlflow_host"])
    names = [f"{name}:{port}" for name in dict.fromkeys([*LOOPBACK, in_url(host)])]
    for name in settings.pages_names:
        names += [name] if ":" in name else [name, f"{name}:{port}"]
    origins = [f"{scheme}://{name}" for name in names for scheme in ("http", "https")]
    return [
        sys.executable, "-m", "mlflow", "ui", "--host", host, "--port", port, "--workers", "1",
        "--default-artifact-root", str(settings.mlflow_artifacts),
        "--allowed-hosts", ",".join(names), "--cors-allowed-origins", ",".join(origins),
    ]  # fmt: skip


def pages_note(settings: Settings, name: str) -> Path:
    """The file that says which processes serve pages of a shop, while they do."""
    return settings.shop_home / "processes" / f"{name}.json"


def warning(settings: Settings, whose: str, host: str) -> str | None:
    """What is to be said about pages that others can reach; None: nobody can."""
    if is_loopback(host):
        return None
    risk = "runs code as this user" if whose == UI else "reads and changes every experiment and model"
    return (
        f"WARNING: {whose} pages are open on {host}, without login or encryption: "
        f"whoever reaches port {settings.ui_port if whose == UI else settings.mlflow_port} {risk}."
    )


def _require_allowed(settings: Settings, whose: str, host: str, variable: str) -> None:
    said = warning(settings, whose, host)
    if said and not settings.pages_anywhere:
        raise PagesError(
            f"{variable}={host} is refused. {said.removeprefix('WARNING: ')} Leave it at 127.0.0.1 and put a proxy "
            f"that asks for a login in front (docs/how-to/deploy.md#the-pages), or, where only people who may do that "
            f"reach this machine, set {ANYWHERE}=yes."
        )
