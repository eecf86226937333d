"""A guard in front of web pages that have no login: only their own pages, called by their own name, get through.

Pages that listen on this machine alone are still within reach of every web page that its user opens: a browser sends
requests to 127.0.0.1 for whoever asks (cross-site request forgery), and for a name that its owner lets point there it
even hands over the answers (DNS rebinding). This ASGI middleware knows nothing of the application behind it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

READING = ("GET", "HEAD")
POLICY_VIOLATION = 1008
"""How a websocket is refused; before it was accepted a client sees status 403."""


class Guard:
    """ASGI middleware that refuses what no page of the application itself would send.

    Args:
        app: what answers.
        names: `name` or `name:port` under which the pages are called beside this machine's own, as a proxy says them.
        anywhere: answer connections that came in on an address other than a loopback one.
        posted: beginnings of paths that read a question from the query string of a GET: there it is refused.
        bodies: media types of requests that may change something. One that a foreign page may send without asking
            the browser first (`text/plain`, a form's) must not be among them.
    """

    def __init__(
        self,
        app: App,
        *,
        names: Collection[str] = (),
        anywhere: bool = False,
        posted: tuple[str, ...] = (),
        bodies: Collection[str] = ("application/json",),
    ) -> None:
        self._app, self._names, self._anywhere = app, frozenset(names), anywhere
        self._posted, self._bodies = posted, frozenset(bodies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse one request or websocket, or pass it on."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        refused = self._refused(scope)
        if refused is None:
            await self._app(scope, receive, _unframed(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refused[1]})
        else:
            await _say(send, *refused)

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason of a refusal; None: nothing is wrong."""
        headers = _headers(scope)
        host = headers.get("host", "").lower()
        local, port = scope.get("server") or (None, None)
        if not self._anywhere and _is_address(local) and not is_loopback(str(local)):
            return 403, "these pages answer on this machine alone, not on an address of the network"
        if not self._ours(host, local, port):
            return 403, f"these pages are not called {_shown(host)!r}: call them by their address, or name it as theirs"
        if scope["type"] == "websocket":
            return (403, "another web page asked for this") if _foreign(headers, host) else None
        return self._refused_request(scope, headers, host)

    def _refused_request(self, scope: Scope, headers: Mapping[str, str], host: str) -> tuple[int, str] | None:
        reads = scope["method"] in READING
        asks = str(scope["path"]).startswith(self._posted) if self._posted else False
        if _foreign(headers, host) and not (reads and not asks and _navigates(headers)):
            return 403, "another web page asked for this"
        if reads and asks and scope.get("query_string"):
            return 405, "send this by POST: a link must not run anything"
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not reads and kind not in self._bodies:
            return 415, f"the content type must be {' or '.join(sorted(self._bodies))}, not {_shown(kind)!r}"
        return None

    def _ours(self, host: str, local: str | None, port: int | None) -> bool:
        """Whether a request was made to a name or an address of these pages. An address cannot be rebound."""
        name, said = _split(host)
        if host in self._names or (name in self._names and said == port):
            return True
        own = name == "localhost" or (_is_address(name) and (is_loopback(name) or _same(name, local)))
        return own and said == port


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on a name or address; `localhost` is this machine."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _headers(scope: Scope) -> dict[str, str]:
    """Headers by name; what was sent twice is joined and so equals nothing that is allowed."""
    found: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1").strip()
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def _foreign(headers: Mapping[str, str], host: str) -> bool:
    """Whether another page than the pages' own asked; what is no browser says nothing of this and is nobody's page."""
    if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        return True
    if "origin" in headers:
        return _authority(headers["origin"]) != host
    return "sec-fetch-site" not in headers and "referer" in headers and _authority(headers["referer"]) != host


def _navigates(headers: Mapping[str, str]) -> bool:
    """Whether a browser opens a page of its own: somebody followed a link. Nothing of it reaches the page before."""
    if "sec-fetch-mode" in headers:
        return (headers["sec-fetch-mode"], headers.get("sec-fetch-dest")) == ("navigate", "document")
    return "origin" not in headers


def _authority(url: str) -> str:
    """`host[:port]` of an address as a Host header says it; empty when there is none."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _split(host: str) -> tuple[str, int]:
    """Name and port of a Host header, an IPv6 address without its brackets; no port said: HTTP's own."""
    try:
        parts = urlsplit(f"//{host}")
        return ("", 0) if parts.netloc != host or "@" in host else (parts.hostname or "", parts.port or 80)
    except ValueError:
        return "", 0


def _is_address(text: str | None) -> bool:
    try:
        return text is not None and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _same(one: str, other: str | None) -> bool:
    return _is_address(other) and ipaddress.ip_address(one) == ipaddress.ip_address(str(other))


def _shown(text: str) -> str:
    return text[:100]


def _unframed(send: Send) -> Send:
    """Answers that no foreign page can show inside itself and have clicked on."""

    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"x-frame-options", b"SAMEORIGIN")]}
        await send(message)

    return sent


async def _say(send: Send, status: int, reason: str) -> None:
    body = f"Refused: {reason}.\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
