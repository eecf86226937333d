"""`${NAME}` in a source's YAML: read from the environment when it is needed, and masked in whatever is said."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from ml_assets.config.ingestion_error import IngestionError

NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def names(value: object) -> set[str]:
    """The variables that the texts of a value name, however deep."""
    if isinstance(value, str):
        return set(NAME.findall(value))
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return {name for each in inner for name in names(each)}


@dataclass
class References:
    """Resolves references of one source and remembers what must not be told.

    Attributes:
        where: the source's place in the YAML, for errors.
        env: the environment.
    """

    where: str
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _secrets: set[str] = field(default_factory=set)

    def resolve(self, text: str) -> str:
        """The text with every `${NAME}` replaced by that variable's value.

        Raises:
            IngestionError: when a variable is not set.
        """
        return NAME.sub(lambda found: self._value(found[1]), text)

    def resolve_all(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The same for every text of a mapping, however deep."""
        return {name: self._any(value) for name, value in values.items()}

    def hide(self, secret: str | None) -> None:
        """Remember a text that must not appear in messages, also as it would stand in an address."""
        if secret:
            self._secrets |= {secret, quote(secret, safe=""), quote_plus(secret)}

    def mask(self, said: object) -> str:
        """The first line of what a library said, without secrets."""
        lines = str(said).strip().splitlines() or [type(said).__name__]
        text = lines[0][:500]
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def _any(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.resolve(value)
        return self.resolve_all(value) if isinstance(value, Mapping) else value

    def _value(self, name: str) -> str:
        value = self.env.get(name)
        if not value:
            problem = f"the environment variable {name}, named there, is not set"
            raise IngestionError(problem, file=self.where, remedy=f"set {name} where Dagster runs")
        self.hide(value)
        if "://" in value:
            self.hide(_password(value))
        return value


def _password(address: str) -> str | None:
    try:
        return urlsplit(address).password
    except ValueError:
        return None
