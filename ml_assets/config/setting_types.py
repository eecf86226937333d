"""Types of settings: their forms, which of them are secrets, and how a value is written into its variable."""

from __future__ import annotations

import re
from typing import Annotated, get_args

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from ml_assets.config.keep import Keep

KEY_LENGTH = 20
"""Fewest characters of an API key: nobody guesses it."""


def _checked_key(key: SecretStr) -> SecretStr:
    said = key.get_secret_value()
    if len(said) < KEY_LENGTH or not re.fullmatch(r"[!-~]+", said):
        raise ValueError(
            f"an API key has at least {KEY_LENGTH} characters, ASCII without spaces: `openssl rand -hex 32`"
        )
    return key


def _listed(given: object) -> object:
    """The parts of a text with commas between; they may be a tuple already."""
    return tuple(part for each in given.split(",") if (part := each.strip())) if isinstance(given, str) else given


ApiKey = Annotated[SecretStr, AfterValidator(_checked_key)]
PageNames = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[a-z0-9._-]+(:[0-9]+)?$")], ...],
    BeforeValidator(_listed),
]
Origins = Annotated[
    tuple[Annotated[str, Field(pattern=r"^https?://[a-z0-9._-]+(:[0-9]+)?$")], ...],
    BeforeValidator(_listed),
]


def is_secret(annotation: object) -> bool:
    """Whether values of a type are secrets: `SecretStr`, alone or as a part of the type."""
    return annotation is SecretStr or any(is_secret(part) for part in get_args(annotation))


def as_variable(value: object) -> str:
    """A setting as its environment variable says it; empty for none."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Keep):
        return value.text
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
