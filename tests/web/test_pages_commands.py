"""Where pages without a login may be served."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from project_copy import free_port

from ml_assets.config.settings import PROJECT, Settings, load_settings
from ml_assets.web import pages


def environment(home: Path, **given: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ML_ASSETS_", "MLFLOW_"))}
    return env | {"ML_ASSETS_HOME": str(home), **given}


def run(home: Path, command: str, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ml_assets", command],
        cwd=PROJECT, env=environment(home, **given), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("command", "variable"), [("ui", "ML_ASSETS_UI_HOST"), ("mlflow-ui", "ML_ASSETS_MLFLOW_HOST")])
def test_pages_are_not_opened_by_an_address_alone(command: str, variable: str, tmp_path: Path) -> None:
    done = run(tmp_path, command, **{variable: "0.0.0.0"})
    assert done.returncode != 0
    assert f"{variable}=0.0.0.0 is refused" in done.stderr
    assert "ML_ASSETS_PAGES_ANYWHERE=yes" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_model_servers_address_opens_no_pages(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, shop="simulated", host="0.0.0.0")
    for command in (pages.ui_command(settings), pages.mlflow_command(settings)):
        assert "127.0.0.1" in command
        assert "0.0.0.0" not in command
    assert settings.stream_host == "127.0.0.1"


def test_who_opens_them_is_told_what_that_means(tmp_path: Path) -> None:
    opened = {"ML_ASSETS_UI_HOST": "0.0.0.0", "ML_ASSETS_PAGES_ANYWHERE": "yes"}
    settings = load_settings({"ML_ASSETS_HOME": str(tmp_path), **opened})
    assert "0.0.0.0" in pages.ui_command(settings)
    said = pages.warning(settings, pages.UI, settings.ui_host)
    assert said is not None
    assert "runs code" in said
    assert pages.warning(settings, pages.MLFLOW, settings.mlflow_host) is None


def test_mlflows_database_is_no_argument(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, shop="simulated", mlflow_address="postgresql://me:s3cret@db/mlflow")
    assert not [part for part in pages.mlflow_command(settings) if "s3cret" in part]


def test_mlflows_own_guard_knows_its_names(tracked: Settings) -> None:
    port, proxied = free_port(), "mlflow.example.com"
    env = environment(tracked.home, ML_ASSETS_MLFLOW_PORT=str(port), ML_ASSETS_PAGES_NAMES=proxied)
    process = subprocess.Popen(
        ["sh", "-c", "trap '' INT; exec \"$0\" -m ml_assets mlflow-ui", sys.executable],
        cwd=PROJECT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    url, create = f"http://127.0.0.1:{port}", "/ajax-api/2.0/mlflow/experiments/create"
    try:
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            while process.poll() is None and not _answers(client):
                time.sleep(0.2)
            for host in (f"127.0.0.1:{port}", f"localhost:{port}", proxied):
                assert client.get("/", headers={"host": host}).status_code == 200
                told = {"host": host, "origin": f"https://{proxied}" if host == proxied else f"http://{host}"}
                assert client.post(create, json={"name": host}, headers=told).status_code == 200
            for host in ("evil.example", "10.evil.example", f"192.168.evil.example:{port}", f"0.0.0.0:{port}"):
                assert client.get("/", headers={"host": host}).status_code == 403
            for origin in ("http://evil.example", "null", "https://mlflow.example.com.evil.example"):
                assert client.post(create, json={"name": "x"}, headers={"origin": origin}).status_code == 403
            said = {"query": "{ __typename }"}
            asked = client.options("/graphql", headers={"origin": "http://evil.example", **PREFLIGHT})
            assert "access-control-allow-origin" not in asked.headers
            assert client.post("/graphql", data=said).status_code != 200, "what a page may send unasked"
    finally:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        stopped = subprocess.run(
            [sys.executable, "-m", "ml_assets", "stop"],
            cwd=PROJECT,
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        status = process.wait(60)
        left = [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
        for each in left:
            each.kill()
    assert "stopped mlflow of simulated" in stopped.stdout
    assert (status, left) == (0, [])


PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False
