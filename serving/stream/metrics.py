"""What the stream counts beside the service's own metrics, and the pages that show both."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ml_assets.config.settings import Settings
from serving.http.admission import Admission, open_to_all
from serving.schemas import Refusal, Reply
from serving.stream.leave import StreamError

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
"""Seconds."""
logger = logging.getLogger("serving.stream")

SILENCE = 5.0
"""Seconds that a client of the pages may say nothing."""
CLIENTS = 32
"""Clients of the pages at once; others are turned away."""
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class StreamMetrics:
    """Counters of one stream."""

    def __init__(self) -> None:
        self._own = CollectorRegistry()
        self._messages = Counter("stream_messages_total", "Requests done", ["outcome"], registry=self._own)
        self._seconds = Histogram(
            "stream_seconds", "From a request's timestamp to its committed answer", buckets=BUCKETS, registry=self._own
        )
        self._lag = Gauge("stream_lag", "Requests that wait in the partitions of this process", registry=self._own)
        self._partitions = Gauge("stream_partitions", "Partitions that this process has", registry=self._own)

    def sent(self, outcome: str, milliseconds: int | None, now: float) -> None:
        """Count a request that is done; `now` and its timestamp as seconds and milliseconds since 1970."""
        self._messages.labels(outcome).inc()
        if milliseconds is not None:
            self._seconds.observe(max(0.0, now - milliseconds / 1000))

    def waiting(self, lag: Mapping[int, int]) -> None:
        """Show how many requests wait, by partition."""
        self._lag.set(sum(lag.values()))
        self._partitions.set(len(lag))

    def expose(self) -> bytes:
        """Prometheus text."""
        return generate_latest(self._own)


class Pages:
    """`/metrics`, `/readyz` and `/livez` of the stream while the block lasts; the first asks for the key, if any.

    Raises:
        StreamError: when the port cannot be bound.
    """

    def __init__(self, settings: Settings, ready: Callable[[], Reply], expose: Callable[[], bytes]) -> None:
        host, port = settings.stream_host, settings.stream_port
        warning = open_to_all(host, settings, "the stream's page of metrics")
        if warning:
            logger.warning(warning)
        pages = {
            "/metrics": lambda: (200, TEXT, expose()),
            "/readyz": lambda: _json(ready()),
            "/livez": lambda: _json(Reply(200, {"status": "alive"})),
        }
        try:
            self._server = _Server((host, port), _handler(pages, Admission(settings)))
        except OSError as error:
            raise StreamError(
                f"port {port} on {host} cannot be bound ({error}): choose another one with ML_ASSETS_STREAM_PORT"
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="pages", daemon=True)

    def __enter__(self) -> Pages:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """A thread for each client, of whom there may only be so many."""

    _room = threading.BoundedSemaphore(CLIENTS)

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()


def _json(reply: Reply) -> tuple[int, str, bytes]:
    return reply.status, "application/json", reply.json()


def _handler(
    pages: Mapping[str, Callable[[], tuple[int, str, bytes]]], admission: Admission
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = SILENCE

        def do_GET(self) -> None:
            status, kind, body = self._page()
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _page(self) -> tuple[int, str, bytes]:
            page = pages.get(self.path)
            if page is None:
                return _json(Reply(404, {"error": f"there are {', '.join(pages)}"}))
            if self.path == "/metrics":
                said = {name.lower().encode(): value.encode() for name, value in self.headers.items()}
                try:
                    admission.require_allowed(said)
                except Refusal as refusal:
                    return _json(Reply(refusal.status, refusal.body()))
            return page()

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing: scrapes are no news."""

    return Handler
