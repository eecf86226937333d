"""The way in: what is sent when, and what becomes of a client that has gone."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from ml_assets.config.settings import Settings
from serving.config import ServiceConfig
from serving.http.front_door import FrontDoor
from serving.http.metrics import Metrics
from serving.schemas import Reply


class Endpoint:
    """Answers everything, and says what it was asked to do."""

    def __init__(self, happened):
        self.happened = happened

    def handle(self, body):
        self.happened.append(("handle", body))
        return Reply(200, {}, lambda: self.happened.append("afterwards"))

    def refuse(self, refusal, began):
        self.happened.append(("refuse", refusal.status))
        return Reply(refusal.status, refusal.body())


def through(messages, *, path="/recommend", method="POST", headers=((b"content-type", b"application/json"),), **given):
    """What happens, in order, when a client sends these messages to a server of the given settings."""
    happened = []
    runtime = SimpleNamespace(
        config=ServiceConfig(),
        settings=Settings(home=Path("/nowhere"), shop="simulated", **given),
        metrics=Metrics(),
        recommend=Endpoint(happened),
        feedback=Endpoint(happened),
        expose=lambda: b"",
        ready=lambda: Reply(200, {}),
    )

    async def receive():
        return messages.pop(0)

    async def send(message):
        happened.append(message["type"].removeprefix("http."))
        if message.get("status", 200) in {401, 403}:
            happened.append(message["status"])

    async def inner(scope, receive, send):
        happened.append("passed on")

    scope = {"type": "http", "path": path, "method": method, "headers": list(headers)}
    asyncio.run(FrontDoor(inner, runtime)(scope, receive, send))
    return happened


def part(body, more=False):
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize("path", ["/recommend", "/feedback"])
def test_what_is_to_follow_an_answer_waits_until_it_was_sent(path):
    assert through([part(b"ab", more=True), part(b"c")], path=path) == [
        ("handle", b"abc"), "response.start", "response.body", "afterwards",
    ]  # fmt: skip


def test_a_client_that_has_gone_is_refused_and_nothing_follows():
    happened = through([part(b"a", more=True), {"type": "http.disconnect"}])
    assert happened == [("refuse", 400), "response.start", "response.body"]


def test_another_method_or_path_is_not_ours():
    assert through([], method="GET")[0] == ("refuse", 405)
    assert through([], path="/schema.json") == ["passed on"]


@pytest.mark.parametrize("path", ["/recommend", "/feedback"])
@pytest.mark.parametrize("kind", [None, b"", b"text/plain", b"text/plain; application/json", b"multipart/form-data"])
def test_what_a_page_may_send_without_asking_is_refused(path, kind):
    headers = [] if kind is None else [(b"content-type", kind)]
    assert through([part(b"{}")], path=path, headers=headers)[0] == ("refuse", 415)


def test_json_may_say_how_it_is_written():
    headers = [(b"content-type", b"Application/JSON ; charset=utf-8")]
    assert through([part(b"{}")], headers=headers)[0] == ("handle", b"{}")


KEY = "k" * 24
GUARDED = ["/recommend", "/feedback", "/metrics", "/schema.json", "/", "/livez/"]
OPEN = ["/livez", "/readyz", "/healthz"]
RIGHT = [
    [(b"authorization", f"Bearer {KEY}".encode())], [(b"authorization", f"bearer {KEY}".encode())],
    [(b"x-api-key", KEY.encode())],
]  # fmt: skip
WRONG = [
    [], [(b"authorization", b"Bearer")], [(b"authorization", b"Bearer nope")], [(b"authorization", KEY.encode())],
    [(b"authorization", f"Basic {KEY}".encode())], [(b"x-api-key", b"")], [(b"x-api-key", KEY[:-1].encode())],
    [(b"x-api-key", "\u00e9".encode())],
]  # fmt: skip


@pytest.mark.parametrize("path", GUARDED)
def test_a_key_is_asked_for_where_one_is_set(path):
    json = (b"content-type", b"application/json")
    for headers in WRONG:
        refused = through([part(b"{}")], path=path, headers=[json, *headers], api_key=KEY)
        assert refused == ["response.start", 401, "response.body"]
    for headers in RIGHT:
        assert 401 not in through([part(b"{}")], path=path, headers=[json, *headers], api_key=KEY)


@pytest.mark.parametrize("path", OPEN)
def test_whether_the_server_is_there_needs_no_key(path):
    assert through([], path=path, method="GET", headers=[], api_key=KEY) == ["response.start", "response.body"]


def test_what_is_no_request_passes():
    scope = {"type": "lifespan"}
    passed = []

    async def inner(scope, receive, send):
        passed.append(scope)

    settings = Settings(home=Path("/nowhere"), shop="simulated", api_key=KEY)
    asyncio.run(FrontDoor(inner, SimpleNamespace(settings=settings))(scope, None, None))
    assert passed == [scope]


@pytest.mark.parametrize("path", ["/recommend", "/feedback", "/metrics"])
@pytest.mark.parametrize("origin", [b"http://evil.example", b"null", b"http://evil.example:3300", b""])
def test_a_web_page_may_ask_only_when_it_was_named(path, origin):
    json, shop = (b"content-type", b"application/json"), "https://shop.example.com"
    refused = ["response.start", 403, "response.body"]
    assert through([part(b"{}")], path=path, headers=[json, (b"origin", origin)]) == refused
    assert through([part(b"{}")], path=path, headers=[json, (b"origin", origin)], origins=shop) == refused
    assert 403 not in through([part(b"{}")], path=path, headers=[json, (b"origin", shop.encode())], origins=shop)
