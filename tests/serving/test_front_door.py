"""The way in: what is sent when, and what becomes of a client that has gone."""

import asyncio
from types import SimpleNamespace

import pytest

from serving.config import ServiceConfig
from serving.front_door import FrontDoor
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


def through(messages, *, path="/recommend", method="POST"):
    """What happens, in order, when a client sends these messages."""
    happened = []
    runtime = SimpleNamespace(config=ServiceConfig(), recommend=Endpoint(happened), feedback=Endpoint(happened))

    async def receive():
        return messages.pop(0)

    async def send(message):
        happened.append(message["type"].removeprefix("http."))

    async def inner(scope, receive, send):
        happened.append("passed on")

    scope = {"type": "http", "path": path, "method": method, "headers": []}
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
