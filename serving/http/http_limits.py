"""What one connection may cost the server: bytes of headers, time, and its place among the others.

BentoML starts uvicorn with httptools, which takes headers of any size and waits for a silent client for ever; neither
has a setting for it, and BentoML passes none of uvicorn's limits on. uvicorn finds its protocol by name in
`HTTP_PROTOCOLS` when a worker has imported the service: `install` puts this one there. A test asks a real server
whether it is in force.

A proxy in front keeps away clients that are slow; these limits hold without one, too.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar, NamedTuple, cast

import orjson
from uvicorn.config import HTTP_PROTOCOLS, Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState


class Phase(NamedTuple):
    """What a connection is at, for how many seconds at most, and whether it waits for its client."""

    called: str
    seconds: int
    waits: bool


IDLE = Phase("idle", 15, waits=True)
"""Nothing of a request is here, of the first or of the next."""
HEAD = Phase("headers", 10, waits=True)
BODY = Phase("body", 15, waits=True)
ANSWER = Phase("answer", 60, waits=False)
"""The request is here: it is answered, and the client takes the answer."""
CLOSING = Phase("closing", 5, waits=True)
"""What was said last is on its way."""

HEADER_BYTES = 32 * 1024
"""Request line and headers together, of one request."""
CONNECTIONS = 512
"""Of one worker. One more takes the place of the one whose client is waited for longest."""
PIPELINED = 16
"""Requests of one connection that wait for the answer to an earlier one."""
OTHER_FILES = 128
"""Open files that are no connections."""
LOOK = 1.0
"""Seconds between two looks at a connection's time."""


class _OverLimitError(Exception):
    """Raised inside the parser, which then gives up."""


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits: 431 and 408 where an answer is due, else the connection is closed."""

    refused: ClassVar[staticmethod[[str], None]] = staticmethod(lambda reason: None)
    """Told why a connection was closed before its time."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.ws_protocol_class = None  # nothing here speaks WebSocket, which would go by other limits
        self.timeout_keep_alive = IDLE.seconds
        self._head = 0
        self._untold = 0  # bytes since the parser last told us what it made of them: it may be keeping them
        self._over: tuple[str, HTTPStatus, str] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._enter(IDLE)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection in, if need be in the place of another one."""
        crowded = len(self.connections) >= CONNECTIONS
        super().connection_made(transport)
        self._enter(IDLE)
        self._timer = self.loop.call_later(LOOK, self._look)
        if crowded:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, as long as it stays within the limits."""
        if self._phase is IDLE:
            self._enter(HEAD)
        self._untold += len(data)
        super().data_received(data)
        if self._untold > HEADER_BYTES and not self.transport.is_closing():
            self._refuse(*_too_large())

    def send_400_response(self, msg: str) -> None:
        """Say why the parser gave up."""
        self._refuse(*(self._over or ("syntax", HTTPStatus.BAD_REQUEST, msg)))

    def on_message_begin(self) -> None:
        """A request begins."""
        if len(self.pipeline) >= PIPELINED:
            self._over = ("pipelined", HTTPStatus.BAD_REQUEST, f"more than {PIPELINED} requests wait for an answer")
            raise _OverLimitError
        super().on_message_begin()
        self._head = self._untold = 0
        self._enter(HEAD)

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind a chunked body."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The body follows, if there is one."""
        self._untold = 0
        self._enter(BODY)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body, whose size is for the application to judge."""
        self._untold = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here as a whole; when it was too large it may have been answered already."""
        self._untold = 0
        self._enter(IDLE if self.cycle.response_complete else ANSWER)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is on its way, or the next one's turn has come."""
        super().on_response_complete()
        if self._phase is ANSWER:
            self._enter(IDLE if self.cycle.response_complete else ANSWER)

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: the request is answered as if it had not asked."""

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._deadline = self.loop.time() + phase.seconds

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > HEADER_BYTES:
            self._over = _too_large()
            raise _OverLimitError

    def _look(self) -> None:
        """Look at the time until the connection is lost: a deadline may have moved either way."""
        if self.loop.time() >= self._deadline:
            self._expire()
        self._timer = self.loop.call_later(LOOK, self._look)

    def _expire(self) -> None:
        if self.transport.is_closing() or self._phase is ANSWER:  # its client does not take what was sent
            self._drop("time")
        elif self._phase is IDLE:
            self.transport.close()
        else:
            text = f"the request's {self._phase.called} took longer than {self._phase.seconds} s"
            self._refuse("time", HTTPStatus.REQUEST_TIMEOUT, text)
        self._enter(CLOSING)

    def _make_room(self) -> None:
        others = (cast("LimitedProtocol", each) for each in self.connections if each is not self)
        waiting = [each for each in others if each._phase.waits and not each.transport.is_closing()]
        if waiting:
            min(waiting, key=lambda each: each._deadline)._drop("connections")
        else:
            self._refuse("connections", HTTPStatus.SERVICE_UNAVAILABLE, f"{CONNECTIONS} requests are being answered")

    def _refuse(self, reason: str, status: HTTPStatus, text: str) -> None:
        """Answer the request under way, unless it or an earlier one has its answer under way; then close."""
        self.refused(reason)
        if self._may_answer():
            body = orjson.dumps({"error": text})
            head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head.encode() + body)
        self.transport.close()
        self._enter(CLOSING)

    def _may_answer(self) -> bool:
        if self._phase is BODY:
            return not (self.cycle.response_started or self.pipeline)
        return self.cycle is None or self.cycle.response_complete

    def _drop(self, reason: str) -> None:
        self.refused(reason)
        self.transport.abort()


def install(refused: Callable[[str], None]) -> None:
    """Let every server that this process starts use these limits; `refused` is told why a connection was closed.

    It also makes room for as many open files, where the system's soft limit is lower.
    """
    LimitedProtocol.refused = staticmethod(refused)
    HTTP_PROTOCOLS["auto"] = f"{LimitedProtocol.__module__}:{LimitedProtocol.__name__}"
    wanted = CONNECTIONS + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        enough = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))


def _too_large() -> tuple[str, HTTPStatus, str]:
    text = f"the request's headers are larger than {HEADER_BYTES} bytes"
    return ("headers", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text)
