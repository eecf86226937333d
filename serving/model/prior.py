"""The prior: what a binary or regression model's service answers when no model can, the mean of the training labels."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from ml_assets.storage.files import write_text_atomically

PRIOR = "prior"
"""Name of the training labels' mean among a version's metrics, and what an answer of it names as its version."""


class PriorError(ValueError):
    """The file is not what was saved; the text says how."""


@dataclass(frozen=True, slots=True)
class Prior:
    """The mean label: a probability, or a value."""

    value: float


class _Saved(BaseModel):
    """The file: the prior, and the SHA-256 of it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    sha256: str
    prior: float

    @model_validator(mode="after")
    def _as_saved(self) -> _Saved:
        if self.sha256 != _digest(self.prior):
            raise ValueError("its prior is not the one it was saved with")
        return self


def save(prior: Prior, path: Path) -> None:
    """Replace the file at `path` in one step."""
    write_text_atomically(path, _Saved(sha256=_digest(prior.value), prior=prior.value).model_dump_json() + "\n")


def load(path: Path) -> Prior:
    """Read what `save` wrote.

    Raises:
        FileNotFoundError: when there is no such file.
        PriorError: when it is not what was saved.
    """
    try:
        return Prior(_Saved.model_validate_json(path.read_bytes()).prior)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise PriorError(f"{path} is not what was saved ({problem}): deploy again") from error


def _digest(prior: float) -> str:
    return hashlib.sha256(json.dumps(prior).encode()).hexdigest()
