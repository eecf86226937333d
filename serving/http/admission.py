"""Who may ask the model server: a key, where one is set, and no web page that was not named.

Pages send `text/plain` and forms to any address without asking the browser first; JSON they cannot, and a browser says
which page asks. So a body that is not JSON is refused, and so is a page: also one that has bound its own name to this
machine's address.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping

from ml_assets.config.settings import VARIABLES, Settings
from ml_assets.web.guard import is_loopback
from serving.schemas import Refusal

logger = logging.getLogger("serving.http.admission")

JSON = b"application/json"
BEARER = b"bearer "


class Admission:
    """What is asked of a request before anything else: cheap, for it is asked of every one."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.api_key.get_secret_value().encode() if settings.api_key else None
        self._origins = frozenset(origin.encode() for origin in settings.origins)

    def require_json(self, headers: Mapping[bytes, bytes]) -> None:
        """See that a body is said to be JSON.

        Raises:
            Refusal: 415.
        """
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != JSON:
            raise Refusal(415, "the content type must be application/json")

    def require_allowed(self, headers: Mapping[bytes, bytes]) -> None:
        """See that the caller has the key, and is no web page but one of those that may ask.

        Args:
            headers: by lower-case name.

        Raises:
            Refusal: 401 without the right key, 403 for a page.
        """
        if self._key is not None and not hmac.compare_digest(_said_key(headers), self._key):
            raise Refusal(401, "send the API key: Authorization: Bearer KEY, or X-API-Key: KEY")
        origin = headers.get(b"origin")
        if origin is not None and origin not in self._origins:
            raise Refusal(403, f"this web page may not ask: name its origin in {VARIABLES['origins']}")


def _said_key(headers: Mapping[bytes, bytes]) -> bytes:
    said = headers.get(b"authorization", b"")
    if said[: len(BEARER)].lower() == BEARER:
        return said[len(BEARER) :].strip()
    return headers.get(b"x-api-key", b"")


def open_to_all(host: str, settings: Settings, what: str = "the model server") -> str | None:
    """What is to be said about a server that others than this machine reach without a key; None: nobody can."""
    if is_loopback(host) or settings.api_key:
        return None
    return (
        f"WARNING: {what} listens on {host} and asks for no key: whoever reaches it can use it. Set "
        f"{VARIABLES['api_key']}, or see that only those who may can reach it."
    )
