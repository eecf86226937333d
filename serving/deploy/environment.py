"""What a process that answers requests gets to see of the environment: what it needs, and no other secret.

The daemon's environment has the passwords of sources, of MLflow and of the registry. Whoever finds a way into the
model server, or reads its `/proc/<pid>/environ`, must not find them there. So nothing is passed that is not named here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ml_assets.config.setting_types import as_variable
from ml_assets.config.settings import QUIET, VARIABLES, Settings

NAMES = frozenset(
    {
        "PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD", "VIRTUAL_ENV",
        "PYTHONPATH", "PYTHONHOME", "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONUNBUFFERED",
        "PYTHONWARNINGS", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONNOUSERSITE", "PYTHONFAULTHANDLER",
        "PYTHONMALLOC",
    }
)  # fmt: skip
"""Where things are, in which language, and how Python runs."""
PREFIXES = ("LC_", "OMP_", "OPENBLAS_", "MALLOC_", "SSL_CERT_", "BENTOML_")
"""Settings of libraries that serving uses."""
SETTINGS = (
    "home",
    "shop",
    "host",
    "port",
    "stream_port",
    "replay",
    "online_store_address",
    "redis_password",
    "feedback_key",
    "api_key",
    "origins",
    "stream_host",
)
"""The settings that serving reads; the password only where the online store is a Redis."""


def plain_environment() -> dict[str, str]:
    """This process's environment without anything that could be a secret; telemetry off."""
    return {name: value for name, value in os.environ.items() if name in NAMES or name.startswith(PREFIXES)} | QUIET


def serving_environment(settings: Settings, named: Iterable[str] = ()) -> dict[str, str]:
    """The whole environment of a process that answers requests under these settings.

    Args:
        settings: where it serves, and from what.
        named: further variables to pass, those that are set.
    """
    passed = {name: os.environ[name] for name in named if name in os.environ}
    said = {VARIABLES[name]: as_variable(getattr(settings, name)) for name in SETTINGS}
    if isinstance(settings.online_store, Path):
        said[VARIABLES["redis_password"]] = ""
    one_thread = {"OMP_NUM_THREADS": "1"}  # rows are few, and other workers have the other cores
    return plain_environment() | passed | {name: text for name, text in said.items() if text} | one_thread
