"""The stream's pages: open to who looks at them, closed to who says nothing."""

import socket
from contextlib import ExitStack

import httpx
import pytest
from log_lines import wait_until
from served_shop import free_port

from ml_assets.config.settings import Settings
from serving.schemas import Reply
from serving.stream.leave import StreamError
from serving.stream.metrics import CLIENTS, Pages


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path, shop="simulated", stream_port=free_port())


@pytest.fixture
def pages(settings):
    with Pages(settings, lambda: Reply(200, {"status": "ready"}), lambda: b"metrics"):
        yield ("127.0.0.1", settings.stream_port)


def answers(address):
    try:
        return httpx.get(f"http://127.0.0.1:{address[1]}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_silent_clients_are_closed_and_only_so_many_are_heard(pages):
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(pages, timeout=60)) for _ in range(CLIENTS + 5)]
        assert [each.recv(1) for each in silent] == [b""] * len(silent)
        wait_until(lambda: answers(pages))


def test_a_port_that_is_taken_is_named(pages, settings):
    with pytest.raises(StreamError, match="ML_ASSETS_STREAM_PORT"):
        Pages(settings, lambda: Reply(200, {}), lambda: b"")
