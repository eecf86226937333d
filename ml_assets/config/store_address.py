"""Addresses of stores: which forms there are, and passwords in them, which never reach a file or a log."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import PlainValidator

REDIS = ("redis", "rediss")
WRONG_ADDRESS = "the online store is a path or redis://host:port/db"


def store_address(given: object) -> Path | str:
    """The address of an online store: a file's path, or `redis://host:port/db` (`rediss://`: over TLS).

    Raises:
        ValueError: when it is of another form, or has a password in it, which would end up in files and logs.
    """
    if not isinstance(given, Path | str):
        raise ValueError(WRONG_ADDRESS)
    if isinstance(given, Path) or "://" not in given:
        return Path(given).expanduser().resolve()
    parts = urlsplit(given)
    if parts.scheme not in REDIS or not parts.hostname or parts.port == 0:  # asking for the port checks it
        raise ValueError(WRONG_ADDRESS)
    if parts.password:
        raise ValueError("the password belongs into ML_ASSETS_REDIS_PASSWORD")
    return given


def split_password(address: str) -> tuple[str, str | None]:
    """An address without its password, and the password."""
    parts = urlsplit(address)
    if parts.password is None:
        return address, None
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return parts._replace(netloc=f"{name}@{host}" if name else host).geturl(), unquote(parts.password)


def has_password(text: str) -> bool:
    """Whether a text is an address with a password in it, before its host or among its parameters."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.password or re.search(r"(password|secret|token)=", parts.query)))


StoreAddress = Annotated[Path | str, PlainValidator(store_address)]
