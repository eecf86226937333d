"""The stream as a process: the newest bento's own code, in the foreground, for whatever supervises processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from ml_assets.settings import Settings
from serving.stream_leave import StreamError

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


def become_stream(settings: Settings, model: str) -> NoReturn:
    """Turn this process into the stream of a model; signals reach it.

    Raises:
        StreamError: when there is nothing to run.
    """
    os.chdir(newest_code(settings, model))
    os.environ["OMP_NUM_THREADS"] = "1"
    os.execv(COMMAND[0], COMMAND)  # noqa: S606 - the process id must stay
