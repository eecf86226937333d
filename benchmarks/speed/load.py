"""Load on an HTTP server from one thread over plain sockets: it costs little of the cores that the server needs.

`wrk2`, `oha` and their like are not in the lock; this does what the benchmarks need of them. With a rate, requests
go out on schedule whether or not the server keeps up, and latency counts from the moment a request was due: a
server that stalls is charged for everybody who had to wait ("coordinated omission", Gil Tene). Without a rate,
each connection asks again as soon as it was answered.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

PATIENCE = 20.0
"""Seconds without any answer after which a server counts as dead."""


class Ask(NamedTuple):
    """What to send: requests as they go over the wire, and what every answer must contain."""

    host: str
    port: int
    requests: list[bytes]
    expect: bytes


@dataclass
class Account:
    """What became of the requests: latency of each in seconds, and the first answers that were wrong."""

    latencies: list[float]
    wrong: list[str]


class Connection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, host: str, port: int) -> None:
        self._address, self.due, self._got = (host, port), 0.0, b""
        self.socket = self._opened()

    def _opened(self) -> socket.socket:
        opened = socket.create_connection(self._address)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened

    def renew(self) -> None:
        """Open anew what the server has closed while nothing was asked, as any client does."""
        if select.select((self.socket,), (), (), 0)[0]:
            self.socket.close()
            self.socket = self._opened()

    def fileno(self) -> int:
        """For `select`."""
        return self.socket.fileno()

    def send(self, request: bytes, due: float) -> None:
        """Send a request that was to go out at `due`."""
        self.due = due
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Read what is there; the whole answer once it is.

        Raises:
            ConnectionError: when the server closed the connection.
        """
        part = self.socket.recv(262_144)
        if not part:
            raise ConnectionError("the server closed a connection")
        self._got += part
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return None
        answer, self._got = self._got, b""
        return answer


def _length(head: bytes) -> int:
    """The Content-Length an answer's head names; chunked answers are not read."""
    return int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])


def run(
    url: str,
    bodies: str | None,
    seconds: float,
    *,
    rate: float | None = None,
    connections: int = 8,
    poisson: bool = False,
    expect: str = "",
) -> dict[str, Any]:
    """Put load on `url` and say how it went; a contestant of `child.run`.

    Args:
        url: what to ask.
        bodies: file with one JSON body per line to POST, in turns; None: GET.
        seconds: how long to send.
        rate: requests per second; None: as many as the connections get answered.
        connections: opened at once; with a rate a request waits, at its own cost, until one is free.
        poisson: requests come at random with this rate, instead of evenly.
        expect: text that every answer must hold.

    Returns:
        `seconds` it took, `requests`, `per_second`, latencies `p50_ms`, `p99_ms`, `p999_ms`, `max_ms`, `wrong`
        answers, and the generator's own `cpu_seconds`.
    """
    ask = _ask(url, bodies, expect)
    opened = [Connection(ask.host, ask.port) for _ in range(connections)]
    account = Account([], [])
    began, busy = time.perf_counter(), time.process_time()
    if rate is None:
        _closed(ask, opened, began + seconds, account)
    else:
        _open(ask, opened, began + _schedule(rate, seconds, poisson), account)
    took, busy = time.perf_counter() - began, time.process_time() - busy
    for connection in opened:
        connection.socket.close()
    p50, p99, p999 = np.percentile(np.array(account.latencies) * 1e3, [50, 99, 99.9])
    return {
        "seconds": took,
        "requests": len(account.latencies),
        "per_second": len(account.latencies) / took,
        "p50_ms": p50,
        "p99_ms": p99,
        "p999_ms": p999,
        "max_ms": max(account.latencies) * 1e3,
        "wrong": account.wrong,
        "cpu_seconds": busy,
    }


def _ask(url: str, bodies: str | None, expect: str) -> Ask:
    split = urlsplit(url)
    host, port, path = split.hostname or "", split.port or 80, split.path
    head = f"Host: {host}\r\nAccept: */*\r\n"
    if bodies is None:
        return Ask(host, port, [f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()], expect.encode())
    requests = []
    for line in Path(bodies).read_bytes().splitlines():
        json.loads(line)  # a damaged file must not look like a damaged server
        said = f"POST {path} HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: {len(line)}\r\n\r\n"
        requests.append(said.encode() + line)
    return Ask(host, port, requests, expect.encode())


def _schedule(rate: float, seconds: float, poisson: bool) -> NDArray[np.float64]:
    """When each request is due, in seconds from the start."""
    count = max(1, round(rate * seconds))
    gaps = np.random.default_rng(7).exponential(1 / rate, count) if poisson else np.full(count, 1 / rate)
    return np.cumsum(gaps)


def _closed(ask: Ask, connections: list[Connection], end: float, account: Account) -> None:
    poll, by_number = select.epoll(), {}
    for number, connection in enumerate(connections):
        poll.register(connection, select.EPOLLIN)
        by_number[connection.fileno()] = connection
        connection.send(ask.requests[number % len(ask.requests)], time.perf_counter())
    sent = under_way = len(connections)
    while under_way:
        ready = poll.poll(PATIENCE)
        _require_life(bool(ready))
        for number, _ in ready:
            connection = by_number[number]
            if _answered(connection, ask, account):
                under_way -= 1
                now = time.perf_counter()
                if now < end:
                    connection.send(ask.requests[sent % len(ask.requests)], now)
                    sent, under_way = sent + 1, under_way + 1


def _open(ask: Ask, connections: list[Connection], due: NDArray[np.float64], account: Account) -> None:
    idle, busy, waiting = list(connections), set[Connection](), deque(enumerate(due.tolist()))
    while waiting or busy:
        now = time.perf_counter()
        while idle and waiting and waiting[0][1] <= now:
            number, moment = waiting.popleft()
            connection = idle.pop()
            connection.renew()
            connection.send(ask.requests[number % len(ask.requests)], moment)
            busy.add(connection)
        pause = waiting[0][1] - time.perf_counter() if idle and waiting else PATIENCE
        # select, not epoll: that one waits whole milliseconds
        ready = select.select(busy, (), (), max(0.0, pause))[0]
        _require_life(bool(ready) or pause < PATIENCE)
        for connection in ready:
            if _answered(connection, ask, account):
                busy.remove(connection)
                idle.append(connection)


def _answered(connection: Connection, ask: Ask, account: Account) -> bool:
    answer = connection.receive()
    if answer is None:
        return False
    account.latencies.append(time.perf_counter() - connection.due)
    if not answer.startswith(b"HTTP/1.1 200") or ask.expect not in answer:
        account.wrong.append(answer[:500].decode(errors="replace"))
    return True


def _require_life(alive: bool) -> None:
    if not alive:
        raise TimeoutError(f"the server has not answered for {PATIENCE:g} s")
