"""What the guard lets through, whatever stands behind it: own pages, what is no browser, and followed links."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ml_assets.web.guard import Guard, is_loopback

PORT = 3000
OWN = f"127.0.0.1:{PORT}"
POST = {"content-type": "application/json"}
CLICKED = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def through(
    method: str = "GET",
    path: str = "/runs",
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    *,
    host: str = OWN,
    query: bytes = b"",
    local: tuple[str, int | None] = ("127.0.0.1", PORT),
    kind: str = "http",
    **given: Any,
) -> int:
    """The status of an answer; of a websocket 200 or 403."""
    sent: list[Any] = []
    said = [*headers.items()] if isinstance(headers, dict) else headers or []
    scope = {
        "type": kind, "method": method, "path": path, "query_string": query, "server": local,
        "headers": [(b"host", host.encode()), *((name.encode(), value.encode()) for name, value in said)],
    }  # fmt: skip

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    guard = Guard(app, posted=("/graphql",), **given)
    asyncio.run(guard(scope, receive, send))
    if sent[0]["type"] == "websocket.close":
        return 403
    if sent[0]["status"] == 200:
        assert (b"x-frame-options", b"SAMEORIGIN") in sent[0]["headers"]
    return int(sent[0]["status"])


@pytest.mark.parametrize("host", [OWN, f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}", f"127.8.8.8:{PORT}"])
def test_this_machines_own_names_are_answered(host: str) -> None:
    assert through(host=host) == 200
    assert through(host=host, kind="websocket") == 200


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", f"evil.example:{PORT}", f"127.0.0.1.evil.example:{PORT}", f"10.evil.example:{PORT}",
        "localhost", "localhost:3001", f"localhost.:{PORT}", f"a@localhost:{PORT}", f"localhost:{PORT}/",
        f"[::1:{PORT}",
        f"192.168.1.5:{PORT}", f"0.0.0.0:{PORT}",
    ],
)  # fmt: skip
def test_another_host_is_refused(host: str) -> None:
    assert through(host=host) == 403
    assert through(host=host, kind="websocket") == 403
    assert through("POST", host=host, headers={**POST, "origin": f"http://{host}"}) == 403, "rebound: same origin"


def test_two_hosts_are_none() -> None:
    assert through(headers=[("host", OWN)]) == 403


def test_names_of_a_proxy_are_answered_when_stated() -> None:
    names = ("dagster.example.com", "tunnel.example.com:8443")
    for host in ("dagster.example.com", f"dagster.example.com:{PORT}", "tunnel.example.com:8443"):
        assert through(host=host, names=names) == 200
        assert through("POST", host=host, headers={**POST, "origin": f"https://{host}"}, names=names) == 200
        assert through("POST", host=host, headers={**POST, "origin": "https://evil.example"}, names=names) == 403
    for host in ("tunnel.example.com", "dagster.example.com:81"):
        assert through(host=host, names=names) == 403


def test_an_address_of_the_network_is_answered_only_when_stated() -> None:
    there: dict[str, Any] = {"local": ("192.168.1.5", PORT), "host": f"192.168.1.5:{PORT}"}
    assert through(**there) == 403
    assert through(**there, anywhere=True) == 200
    assert through(**there | {"host": OWN}) == 403, "a stranger may write any Host"
    assert through(**there | {"host": f"192.168.1.6:{PORT}"}, anywhere=True) == 403


@pytest.mark.parametrize(
    "foreign",
    [
        {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://localhost:8888"}, {"origin": ""},
        {"origin": f"http://{OWN}", "sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
        {"referer": "http://evil.example/page"},
    ],
)  # fmt: skip
def test_another_page_changes_nothing(foreign: dict[str, str]) -> None:
    assert through("POST", "/graphql", {**POST, **foreign}) == 403
    assert through("POST", "/report", {**POST, **foreign}) == 403
    assert through("OPTIONS", "/graphql", foreign) == 403
    assert through("GET", "/graphql", foreign) == 403
    assert through(headers=foreign, kind="websocket") == 403


@pytest.mark.parametrize(
    "own",
    [
        {}, {"origin": f"http://{OWN}"}, {"origin": f"http://{OWN}", "sec-fetch-site": "same-origin"},
        {"referer": f"http://{OWN}/runs"},
    ],
)  # fmt: skip
def test_own_pages_and_what_is_no_browser_do(own: dict[str, str]) -> None:
    assert through("POST", "/graphql", {**POST, **own}) == 200
    assert through(headers=own, kind="websocket") == 200
    assert through(headers=own) == 200


def test_a_link_is_followed_and_nothing_else_of_another_page_is_read() -> None:
    assert through(headers=CLICKED) == 200
    assert through(headers={"referer": "http://evil.example/page"}) == 200, "an old browser"
    assert through(headers={"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}) == 200, "typed"
    assert through(headers=CLICKED | {"sec-fetch-dest": "iframe"}) == 403
    assert through(headers=CLICKED | {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}) == 403
    assert through("POST", headers=CLICKED | POST) == 403
    assert through("GET", "/graphql", CLICKED) == 403


@pytest.mark.parametrize("path", ["/graphql", "/graphql\n", "/graphql/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_question_in_a_link_is_refused_even_to_own_pages(path: str, method: str) -> None:
    assert through(method, path, {"sec-fetch-site": "same-origin"}, query=b"query=mutation{x}") == 405
    assert through(method, path) == 200
    assert through(method, "/runs", query=b"page=2") == 200


@pytest.mark.parametrize(
    "kind",
    [
        None, "", "text/plain", "text/plain; application/json", "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x", "application/json, text/plain",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_a_page_may_send_unasked_is_refused(kind: str | None, method: str) -> None:
    assert through(method, "/graphql", {} if kind is None else {"content-type": kind}) == 415


def test_media_types_are_compared_as_such() -> None:
    for kind in ("application/json", "Application/JSON; charset=utf-8", "application/json;x"):
        assert through("POST", headers={"content-type": kind}) == 200
    assert through("POST", headers=[("content-type", "application/json"), ("content-type", "text/plain")]) == 415
    assert through("POST", headers={"content-type": "application/graphql"}) == 415
    assert through("POST", headers={"content-type": "application/graphql"}, bodies=("application/graphql",)) == 200


def test_a_unix_socket_has_no_address_to_judge_by() -> None:
    assert through(local=("/run/pages.sock", None), host="dagster.example.com", names=("dagster.example.com",)) == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "", "example.com", "localhost.example.com"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
