"""What is owed to the registry: its champion goes back to the version that serves, as soon as the registry answers.

Going back is done by files and takes effect at once; the registry follows. The debt is a file, written before
the first attempt and removed once it is settled.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.registry.pointer import pointer_path, require_pointer
from ml_assets.registry.promote import demote
from ml_assets.storage.files import write_text_atomically

logger = logging.getLogger("ml_assets.release")

IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""A registry that does not answer is asked again at the next step, not for minutes now."""


class Debt(BaseModel):
    """A version that is not to be the registry's champion any more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    reason: str
    before: tuple[str, ...] = Field(default=(), description="others that were owed and not settled yet")
    tries: int = Field(default=0, description="how often the registry did not take it")
    error: str | None = Field(default=None, description="what it said the last time")


def debt_path(settings: Settings, name: str) -> Path:
    """Where the debt lies while there is one."""
    return settings.model_home(name) / "serving" / "demotion.json"


def owe(settings: Settings, name: str, version: str, reason: str) -> None:
    """Remember that the registry has to follow."""
    try:
        owed = Debt.model_validate_json(debt_path(settings, name).read_bytes())
        before = tuple(each for each in dict.fromkeys((*owed.before, owed.version)) if each != version)
    except (OSError, ValueError):
        before = ()
    debt = Debt(version=version, reason=reason, before=before)
    write_text_atomically(debt_path(settings, name), debt.model_dump_json(indent=2) + "\n")


def pay(settings: Settings, spec: ModelSpec) -> str | None:
    """Let the registry follow if it is owed to; return what is still owed and why, if anything.

    Never raises: whatever is wrong with the registry, what serves is right already.
    """
    path = debt_path(settings, spec.name)
    if not path.exists():
        return None
    debt = Debt(version="unknown", reason="unknown")
    try:
        debt = Debt.model_validate_json(path.read_bytes())
        serves = require_pointer(pointer_path(settings, spec.name)).model_version
        for version in (*debt.before, debt.version):
            if serves != version:  # else it was put back by force meanwhile
                with _impatient():
                    demote(settings, spec, version, to_version=serves, reason=debt.reason)
        path.unlink()
    except Exception as error:  # best effort, and tried again
        told = debt.model_copy(update={"tries": debt.tries + 1, "error": f"{type(error).__name__}: {error}"[:500]})
        with suppress(OSError):  # on a full disk the debt stays as it was
            write_text_atomically(path, told.model_dump_json(indent=2) + "\n")
        text = f"the registry may still name {debt.version} champion, tried again at the next step: {told.error}"
        logger.warning("%s: %s", spec.name, text)
        return text
    return None


@contextmanager
def _impatient() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in IMPATIENT}
    os.environ.update(IMPATIENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
