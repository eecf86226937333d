"""One connection's share of the server: what is too large, too slow or too much ends, and hurts nobody else."""

import asyncio
import http.client
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import httpx
import psutil
import pytest
import uvicorn
from log_lines import wait_until
from served_shop import free_port

from serving.http import http_limits
from serving.http.http_limits import BODY, CONNECTIONS, HEAD, HEADER_BYTES, IDLE, PIPELINED, LimitedProtocol, Phase

PATIENCE = 90.0
POST = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
MIB = 2**20


@pytest.fixture(scope="module")
def address(server):
    server.serve(0, deployment=900)
    url = httpx.URL(server.handle.url)
    return url.host, url.port


@pytest.fixture
def connect(address):
    with ExitStack() as stack:
        yield lambda: stack.enter_context(socket.create_connection(address, timeout=PATIENCE))


def said_until_closed(connection):
    """What comes until the server closes the connection."""
    heard = b""
    try:
        while part := connection.recv(65_536):
            heard += part
    except ConnectionResetError:
        pass
    return heard


def status(heard):
    return int(heard.split(b" ", 2)[1])


def closed_for(server, reason):
    return server.metric(f'http_connections_closed_total{{reason="{reason}"}}')


def flood(connection, begin, more, megabytes=150):
    """Send without end; how many bytes were taken until the server closed."""
    taken = len(begin)
    try:
        connection.sendall(begin)
        while taken < megabytes * MIB:
            connection.sendall(more)
            taken += len(more)
    except OSError:
        return taken
    return taken


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        pytest.param(POST + b"X-Long: ", b"x" * MIB, id="one header"),
        pytest.param(POST, b"X-Short: x\r\n" * 50_000, id="many headers"),
        pytest.param(b"GET /", b"x" * MIB, id="the target"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Long: ", b"x" * MIB, id="a trailer"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * MIB, id="a chunk's extension"),
    ],
)
def test_headers_without_end_are_refused_and_cost_no_memory(server, connect, begin, more):
    (worker,) = psutil.Process(server.handle.pid).children()
    before, refused = worker.memory_info().rss, closed_for(server, "headers")
    assert flood(connect(), begin, more) < 20 * MIB, "what the sockets themselves hold"
    assert worker.memory_info().rss - before < 30 * MIB
    assert closed_for(server, "headers") == refused + 1


def test_large_headers_are_taken_and_larger_ones_are_a_431(server, address, connect):
    head = POST + b"Content-Length: 2\r\nConnection: close\r\nX-Long: "
    for size, expected in ((HEADER_BYTES - 200, 422), (HEADER_BYTES, 431)):
        connection = connect()
        connection.sendall(head + b"x" * size + b"\r\n\r\n{}")
        heard = said_until_closed(connection)
        assert status(heard) == expected
    assert b"larger than 32768 bytes" in heard


def test_what_is_no_http_is_a_400(connect):
    connection = connect()
    connection.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
    assert status(said_until_closed(connection)) == 400


def test_a_websocket_is_answered_as_what_else_it_is(connect):
    connection = connect()
    connection.sendall(
        b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert status(connection.recv(65_536)) == 200


def test_the_silent_and_the_slow_are_closed_and_a_steady_client_is_not_disturbed(server, address, connect):
    """All at once: it takes as long as the slowest."""
    silent, half, head, body = (connect() for _ in range(4))
    half.sendall(POST[:20])
    head.sendall(b"GET /livez HTTP/1.1\r\nX-Slow: ")
    body.sendall(POST + b"Content-Length: 1000\r\n\r\n")
    heard = {}
    listening = [
        threading.Thread(target=lambda name=name, each=each: heard.update({name: said_until_closed(each)}))
        for name, each in {"silent": silent, "half": half, "head": head, "body": body}.items()
    ]
    for each in listening:
        each.start()
    steady = http.client.HTTPConnection(*address, timeout=PATIENCE)
    steady.connect()
    first, asked, began = steady.sock, 0, time.monotonic()
    while any(each.is_alive() for each in listening) and time.monotonic() - began < PATIENCE:
        for each in (head, body):
            try:
                each.sendall(b"x")
            except OSError:
                continue
        steady.request("POST", "/recommend", body=b'{"customer": "u1"}', headers={"content-type": "application/json"})
        assert steady.getresponse().read().startswith(b"{")
        asked += 1
        time.sleep(0.5)
    assert steady.sock is first and asked > 5, "one connection all the time"
    steady.close()
    assert heard["silent"] == b""
    assert [status(heard[name]) for name in ("half", "head", "body")] == [408] * 3
    assert f"headers took longer than {HEAD.seconds} s".encode() in heard["head"]
    assert f"body took longer than {BODY.seconds} s".encode() in heard["body"]
    assert closed_for(server, "time") >= 3


def test_idle_connections_make_room_for_others(server, address, connect):
    (worker,) = psutil.Process(server.handle.pid).children()
    crowd = [connect() for _ in range(CONNECTIONS + 60)]
    for _ in range(5):
        answer = httpx.post(
            f"{server.handle.url}/recommend", json={"customer": "u1"}, trust_env=False, timeout=PATIENCE
        )
        assert answer.status_code == 200
    assert closed_for(server, "connections") >= 60

    def held():
        states = [each.status for each in worker.net_connections("tcp") if each.laddr.port == address[1]]
        return states.count(psutil.CONN_ESTABLISHED) + states.count(psutil.CONN_CLOSE_WAIT)

    wait_until(lambda: held() <= CONNECTIONS)
    for each in crowd:
        each.close()
    assert server.client.get("/readyz").status_code == 200


async def plain(scope, receive, send):
    """Answers with a MiB, after a while, without asking for the body."""
    if scope["path"] == "/slow":
        await asyncio.sleep(30)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(MIB).encode())]})
    await send({"type": "http.response.body", "body": b"x" * MIB})


@contextmanager
def limited(app):
    """The protocol under uvicorn alone, where a test can make its limits small; yields a way to connect."""
    config = uvicorn.Config(app, port=free_port(), http=LimitedProtocol, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    try:
        with ExitStack() as stack:
            yield lambda: stack.enter_context(socket.create_connection(("127.0.0.1", config.port), timeout=PATIENCE))
    finally:
        server.force_exit = server.should_exit = True
        thread.join(PATIENCE)


def test_a_client_that_does_not_take_its_answer_is_dropped(monkeypatch):
    reasons = []
    monkeypatch.setattr(http_limits, "ANSWER", Phase("answer", 1, waits=False))
    monkeypatch.setattr(LimitedProtocol, "refused", staticmethod(reasons.append))
    with limited(plain) as connect:
        connection = connect()
        for _ in range(12):  # more than what the sockets hold
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: reasons == ["time"])
        assert len(said_until_closed(connection)) < 12 * MIB


def test_a_connection_may_not_queue_requests_without_end(monkeypatch):
    reasons = []
    monkeypatch.setattr(LimitedProtocol, "refused", staticmethod(reasons.append))
    with limited(plain) as connect:
        connection = connect()
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" * (PIPELINED + 10))
        said_until_closed(connection)
    assert reasons == ["pipelined"]


def test_a_body_that_goes_on_behind_its_answer_ends(monkeypatch):
    monkeypatch.setattr(http_limits, "BODY", Phase("body", 1, waits=True))
    with limited(plain) as connect:
        connection = connect()
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        heard = []
        reader = threading.Thread(target=lambda: heard.append(said_until_closed(connection)))
        reader.start()
        assert flood(connection, b"", b"x" * 1000, megabytes=900) < 900 * MIB
        reader.join(PATIENCE)
    assert heard[0].count(b"HTTP/1.1") == 1, "no second answer"


def test_pipelined_requests_are_answered_in_order_and_the_connection_lives_on():
    with limited(plain) as connect:
        connection = connect()
        for count in (3, 1):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * count)
            heard = b""
            while heard.count(b"x" * MIB) < count:
                heard += connection.recv(MIB)
            assert heard.count(b"HTTP/1.1 200") == count


def test_an_idle_connection_is_closed_in_the_end(monkeypatch):
    monkeypatch.setattr(http_limits, "IDLE", Phase("idle", 1, waits=True))
    assert IDLE.seconds > 5, "longer than common clients keep a connection, or they would use it as it is closed"
    with limited(plain) as connect:
        assert said_until_closed(connect()) == b""
