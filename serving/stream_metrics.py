"""What the stream counts beside the service's own metrics, and the pages that show both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ml_assets.settings import Settings
from serving.schemas import Reply
from serving.stream_leave import StreamError

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
"""Seconds."""
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
    """`/metrics`, `/readyz` and `/livez` of the stream, on an address of this machine while the block lasts.

    Raises:
        StreamError: when the port cannot be bound.
    """

    def __init__(self, settings: Settings, ready: Callable[[], Reply], expose: Callable[[], bytes]) -> None:
        host, port = settings.host, settings.stream_port
        pages = {
            "/metrics": lambda: (200, TEXT, expose()),
            "/readyz": lambda: _json(ready()),
            "/livez": lambda: _json(Reply(200, {"status": "alive"})),
        }
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(pages))
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


def _json(reply: Reply) -> tuple[int, str, bytes]:
    return reply.status, "application/json", reply.json()


def _handler(pages: Mapping[str, Callable[[], tuple[int, str, bytes]]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path)
            status, kind, body = page() if page else _json(Reply(404, {"error": f"there are {', '.join(pages)}"}))
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing: scrapes are no news."""

    return Handler
