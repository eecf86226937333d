"""The token in an answer: only who was given an answer can report what became of it.

The token is an HMAC-SHA256 (RFC 2104) of the answer's `prediction_id`, so nothing has to be kept per answer, and
whichever process gave the answer, any other of the deployment knows its token. Which products an answer showed is
settled where outcomes are joined with the log.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path

from ml_assets.config.settings import Settings

logger = logging.getLogger("serving.http.feedback_token")

KEY_BYTES = 32


class KeyFileError(ValueError):
    """The file holds no key; the text says what to do."""


class Tokens:
    """Makes and checks the tokens of one model's answers.

    Args:
        key: the deployment's secret.
        model: a token of another model's answer does not fit, even where models share a key.
    """

    def __init__(self, key: bytes, model: str) -> None:
        self._key, self._model = key, model

    def of(self, prediction_id: str) -> str:
        """The token of an answer: 64 hexadecimal digits, the same in every process with this key."""
        return hmac.digest(self._key, f"feedback\0{self._model}\0{prediction_id}".encode(), "sha256").hex()

    def fits(self, prediction_id: str, token: str) -> bool:
        """Whether the token is that answer's; takes as long for a wrong one, wherever it differs."""
        return hmac.compare_digest(self.of(prediction_id).encode(), token.encode())


def key_path(settings: Settings, model: str) -> Path:
    """Where the key lies that the model's processes made themselves."""
    return settings.model_home(model) / "serving" / "feedback.key"


def tokens_of(settings: Settings, model: str) -> Tokens:
    """The tokens of a model: by the key in the settings, else by that of its file, made by who needs it first.

    Without a readable key the service answers all the same: with a key of this process alone, so that feedback is
    taken by the process that gave the answer and refused by the others.
    """
    if settings.feedback_key:
        return Tokens(settings.feedback_key.get_secret_value().encode(), model)
    path = key_path(settings, model)
    try:
        return Tokens(shared_key(path), model)
    except (OSError, KeyFileError):
        logger.exception("no key at %s: feedback is taken only by the process that gave the answer", path)
        return Tokens(secrets.token_bytes(KEY_BYTES), model)


def shared_key(path: Path) -> bytes:
    """The key in a file; made with mode 0600 when there is none: of those who try at once, all get the first one's.

    Raises:
        OSError: when it can be neither read nor written.
        KeyFileError: when the file holds something else.
    """
    if not path.exists():
        _make(path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise KeyFileError(
            f"{path} holds {len(key)} bytes, a key has {KEY_BYTES}: remove it and restart the model's server and "
            "stream (feedback to answers given so far is then refused)"
        )
    return key


def _make(path: Path) -> None:
    """Put a complete key in place, unless somebody was faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        aside.touch(mode=0o600, exist_ok=False)
        with aside.open("wb") as opened:
            opened.write(secrets.token_bytes(KEY_BYTES))
            opened.flush()
            os.fsync(opened.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(aside)
    finally:
        aside.unlink(missing_ok=True)
