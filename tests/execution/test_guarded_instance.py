"""Dagster's pages as `make ui` starts them: their own pages work as ever, other web pages get nothing done."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from project_copy import free_port
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from ml_assets.config.settings import PROJECT

PATIENCE = 180.0
EVIL = "http://evil.example"
LAUNCH = """mutation Launch($job: String!) { launchRun(executionParams: {mode: "default", runConfigData: "{}",
  selector: {repositoryLocationName: "ml_assets", repositoryName: "__repository__", jobName: $job}})
  { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } } } }"""
CHANGE = "mutation { reloadWorkspace { __typename } }"
RUNS = "{ runsOrError { ... on Runs { results { runId status } } } }"
LOCATIONS = "subscription { locationStateChangeEvents { event { eventType } } }"


@dataclass(frozen=True)
class Pages:
    """Running pages, their processes included."""

    url: str
    client: httpx.Client
    env: dict[str, str]

    def ask(self, query: str, **variables: str) -> Any:
        """Ask as the pages do."""
        body = {"query": query, "variables": variables}
        answer = self.client.post("/graphql", json=body, headers={"origin": self.url, "sec-fetch-site": "same-origin"})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def runs(self) -> dict[str, str]:
        """Run id -> status."""
        return {run["runId"]: run["status"] for run in self.ask(RUNS)["runsOrError"]["results"]}

    def started(self) -> str:
        """Launch a job and return the run's id."""
        said = self.ask(LAUNCH, job="release")["launchRun"]
        assert said["__typename"] == "LaunchRunSuccess", said
        return str(said["run"]["runId"])

    def listen(self, **more: Any) -> Any:
        return connect(f"{self.url.replace('http', 'ws')}/graphql", subprotocols=["graphql-ws"], proxy=None, **more)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    home, port = tmp_path_factory.mktemp("pages"), free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ML_ASSETS_", "DAGSTER_"))}
    env |= {"ML_ASSETS_HOME": str(home), "ML_ASSETS_UI_PORT": str(port)}
    log = home / "ui.log"
    with log.open("w") as written:
        process = subprocess.Popen(
            ["sh", "-c", "trap '' INT; exec \"$0\" -m ml_assets ui", sys.executable],  # as a shell's background does
            cwd=PROJECT, env=env, stdout=written, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        try:
            wait_until(lambda: answers(client, process, log))
            yield Pages(url, client, env)
        finally:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            process.terminate()
            status = process.wait(PATIENCE)
            left = [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
            for each in left:
                each.kill()
    assert (status, left) == (0, []), "SIGTERM ends everything, also where ctrl-C is ignored, and then it has ended"
    assert len(family) > 3, "pages, daemon and code server"


def test_a_second_daemon_is_refused(pages: Pages) -> None:
    home = Path(pages.env["ML_ASSETS_HOME"]) / "simulated" / "dagster"
    there = pages.env | {"DAGSTER_HOME": str(home), "ML_ASSETS_EVENT_LOG": str(home / "history")}
    for module in (("ml_assets", "ui"), ("dagster._daemon", "run", "-w", "workspace.yaml")):
        done = subprocess.run(
            [sys.executable, "-m", *module], cwd=PROJECT, env=there, capture_output=True, text=True, check=False,
            timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode != 0
        assert "daemon of" in done.stderr
        assert "runs already" in done.stderr
        assert "Traceback" not in done.stderr


def answers(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()[-4000:]
    try:
        return client.get("/server_info").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(happened: Any) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := happened()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def test_a_page_of_its_own_launches_a_run(pages: Pages) -> None:
    run = pages.started()
    wait_until(lambda: pages.runs()[run] in {"SUCCESS", "FAILURE"})


def test_foreign_hosts_and_origins_are_refused(pages: Pages) -> None:
    port = httpx.URL(pages.url).port
    for host in ("evil.example", f"evil.example:{port}", f"10.evil.example:{port}"):
        assert pages.client.get("/", headers={"host": host}).status_code == 403
        told = {"host": host, "origin": f"http://{host}"}
        assert pages.client.post("/graphql", json={"query": CHANGE}, headers=told).status_code == 403
    for origin in (EVIL, "null", "http://localhost:8888"):
        assert pages.client.post("/graphql", json={"query": CHANGE}, headers={"origin": origin}).status_code == 403
    assert pages.client.get("/", headers={"host": f"localhost:{port}"}).status_code == 200


@pytest.mark.parametrize("path", ["/graphql", "/graphql%0A"])
def test_a_link_runs_nothing(pages: Pages, path: str) -> None:
    for accepted in ("*/*", "application/json", "text/html"):
        asked = pages.client.get(path, params={"query": CHANGE}, headers={"accept": accepted})
        assert asked.status_code == 405, asked.text
    shown = pages.client.get("/graphql", headers={"accept": "text/html"})
    assert "GraphiQL" in shown.text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "text/plain; application/json"])
def test_what_a_page_may_send_unasked_runs_nothing(pages: Pages, kind: str) -> None:
    body = json.dumps({"query": CHANGE})
    for where in ("/graphql", "/report_asset_materialization/shop/events"):
        asked = pages.client.post(where, params={"query": CHANGE}, content=body, headers={"content-type": kind})
        assert asked.status_code == 415, asked.text


def test_live_updates_are_for_own_pages(pages: Pages) -> None:
    for own in ({}, {"origin": pages.url}):
        with pages.listen(**own) as live:
            live.send(json.dumps({"type": "connection_init", "payload": {}}))
            assert json.loads(live.recv(20))["type"] == "connection_ack"
            live.send(json.dumps({"type": "start", "id": "1", "payload": {"query": LOCATIONS}}))
            live.send(json.dumps({"type": "connection_terminate"}))
    for origin in (EVIL, "null", "http://localhost:8888"):
        with pytest.raises(InvalidStatus, match="403"), pages.listen(origin=origin):
            pass


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


def seen(url: str, folder: Path) -> str:
    """The page as a browser has it after its scripts ran."""
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-proxy-server", f"--user-data-dir={folder}",
        "--virtual-time-budget=20000", "--timeout=60000", "--dump-dom", url,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


@needs_chromium
def test_a_browser_shows_the_pages(pages: Pages, tmp_path: Path) -> None:
    assert "product_recommender" in seen(f"{pages.url}/asset-groups", tmp_path)


ATTACK = """<!doctype html><body><form id=form method=post enctype=text/plain target=frame action="URL/graphql">
<input name='BODY' value=''></form><iframe name=frame></iframe><iframe id=framed src="URL/runs"></iframe><script>
const body = 'BODY', query = encodeURIComponent(JSON.parse(body).query), tried = []
const attempt = (name, made) => tried.push(made.then(() => name + ':sent', () => name + ':failed'))
attempt('get', fetch('URL/graphql?query=' + query, {mode: 'no-cors'}))
attempt('text', fetch('URL/graphql', {method: 'POST', mode: 'no-cors', body}))
attempt('query', fetch('URL/graphql?query=' + query, {method: 'POST', mode: 'no-cors'}))
attempt('json', fetch('URL/graphql', {method: 'POST', headers: {'content-type': 'application/json'}, body}))
attempt('live', new Promise((opened, failed) => {
  const live = new WebSocket('WSURL/graphql', 'graphql-ws'); live.onopen = opened; live.onerror = failed }))
document.getElementById('form').submit()
Promise.all(tried).then(all => document.body.append('tried ' + all.join(' ')))
</script></body>"""


@needs_chromium
def test_another_page_in_a_browser_launches_nothing(pages: Pages, tmp_path: Path) -> None:
    mutation = LAUNCH.replace("($job: String!)", "").replace("$job", '"release"').replace("\n", " ")
    body = json.dumps({"query": mutation}).replace("\\", "\\\\").replace("'", "&#39;")
    page = ATTACK.replace("BODY", body).replace("WSURL", pages.url.replace("http", "ws")).replace("URL", pages.url)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

    before = pages.runs()
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        shown = seen(f"http://localhost:{server.server_port}/", tmp_path)
    finally:
        server.shutdown()
        server.server_close()
    assert pages.runs().keys() == before.keys()
    assert "get:sent text:sent query:sent json:failed live:failed" in shown
