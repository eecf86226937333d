"""The load generator against a real server: what it counts, and from when."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.speed import load

STALL = 0.4


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was sent; stalls once when told to."""

    protocol_version = "HTTP/1.1"
    stalled = threading.Event()

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._answer(200, b"{}")

    def do_POST(self) -> None:
        said = self.rfile.read(int(self.headers["Content-Length"]))
        if json.loads(said).get("stall") and not self.stalled.is_set():
            self.stalled.set()
            time.sleep(STALL)
        self._answer(500 if json.loads(said).get("fail") else 200, said)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/ask"
    server.shutdown()


@pytest.fixture
def bodies(tmp_path):
    def write(*said: dict) -> str:
        path = tmp_path / "bodies.jsonl"
        path.write_text("\n".join(json.dumps(each) for each in said) + "\n")
        return str(path)

    return write


def test_every_request_of_a_rate_is_sent_once_and_counted(url, bodies):
    said = load.run(url, bodies({"a": 1}, {"a": 2}), 0.5, rate=100, connections=4, expect='"a"')
    assert (said["requests"], said["wrong"]) == (50, [])


def test_connections_ask_again_as_soon_as_they_are_answered(url):
    said = load.run(url, None, 0.3, connections=3)
    assert said["requests"] > 3
    assert said["per_second"] == pytest.approx(said["requests"] / said["seconds"])


def test_who_was_due_while_the_server_stalled_is_charged_for_the_wait(url, bodies):
    Handler.stalled.clear()
    said = load.run(url, bodies({"stall": True}), 0.5, rate=100, connections=1)
    due_meanwhile = int(100 * STALL)
    assert said["requests"] == 50
    assert said["p50_ms"] > 1e3 * STALL * (1 - 25 / due_meanwhile)
    assert said["max_ms"] > 1e3 * STALL


def test_a_connection_that_the_server_closed_while_idle_is_opened_anew(url, bodies, monkeypatch):
    monkeypatch.setattr(Handler, "timeout", 0.2)  # of an idle connection
    ran = load.run(url, bodies({}), 1.0, rate=3.0, connections=1)
    assert (ran["requests"], ran["wrong"]) == (3, [])


def test_wrong_answers_are_kept(url, bodies):
    said = load.run(url, bodies({"fail": True}, {"b": 2}), 0.2, rate=50, expect='"b"')
    assert len(said["wrong"]) == 5
    assert all("500" in each for each in said["wrong"])


def test_requests_at_random_come_at_the_rate():
    due = load._schedule(200, 50, poisson=True)
    assert len(due) == 10_000
    assert due[-1] == pytest.approx(50, rel=0.05)
    assert (due[1:] >= due[:-1]).all()
