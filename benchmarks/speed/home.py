"""A home with everything `make demo` leaves: warehouse, training set, model version, online store, index."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from ml_assets.config.settings import PROJECT, Settings

FULL, SMALL = "simulated", "simulated_tenth"
"""The shop of `make demo` (about a million events, four minutes), and a tenth of it."""


def demo_home(work: Path, shop: str = FULL) -> Path:
    """The home of a finished demo of `shop` below `work`, made once; no server runs in it. Treat it as read-only.

    Raises:
        RuntimeError: when the demo fails; the text is the end of what it said.
    """
    home = work / "homes" / shop
    done = home / "demo.done"
    if done.exists():
        return home
    home.mkdir(parents=True, exist_ok=True)
    here = {
        "ML_ASSETS_HOME": str(home),
        "ML_ASSETS_SHOP": shop,
        "ML_ASSETS_DATA": "",
        "ML_ASSETS_PORT": str(free_port()),
    }
    for command in ("demo", "stop"):
        said = subprocess.run(
            [sys.executable, "-m", "ml_assets", command],
            cwd=PROJECT,
            env={**os.environ, **here},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if said.returncode:
            raise RuntimeError(f"`python -m ml_assets {command}` of {shop} in {home} failed:\n{said.stdout[-4000:]}")
    done.touch()
    return home


def demo_settings(work: Path, shop: str = FULL) -> Settings:
    """The settings of `demo_home`."""
    return Settings(home=demo_home(work, shop), shop=shop)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
