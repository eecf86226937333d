"""The stream as a process: the newest bento's own code, in the foreground, for whatever supervises processes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NoReturn

from ml_assets.config.references import names
from ml_assets.config.settings import Settings
from serving.config import BAKED, CONFIG
from serving.deploy.environment import serving_environment
from serving.stream.leave import StreamError

COMMAND = [sys.executable, "-m", "serving.stream"]


def newest_code(settings: Settings, model: str) -> Path:
    """The folder of the newest bento of a model that `COMMAND` runs in.

    Raises:
        StreamError: when there is none.
    """
    home = settings.bentoml_home / "bentos" / model
    try:
        return home / (home / "latest").read_text() / "src"
    except FileNotFoundError:
        raise StreamError(f"no service of {model} was built yet: materialize {model}/service") from None


def stream_environment(settings: Settings, code: Path) -> dict[str, str]:
    """The environment of the stream of a bento's code: a server's, and the variables its `streaming:` names."""
    built_in = json.loads((code / BAKED.name / CONFIG).read_bytes())  # of that code's form, which may be older
    return serving_environment(settings, names(built_in.get("streaming")))


def become_stream(settings: Settings, model: str) -> NoReturn:
    """Turn this process into the stream of a model; signals reach it.

    Raises:
        StreamError: when there is nothing to run.
    """
    code = newest_code(settings, model)
    environment = stream_environment(settings, code)
    os.chdir(code)
    os.execve(COMMAND[0], COMMAND, environment)  # noqa: S606 - the process id must stay
