"""What each worker of a server serves, said in one small file per worker, so that any of them can say it for all.

Workers follow the pointer each for itself, and a request reaches whichever is free: only together do they know
whether everybody has taken up a version.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import orjson

from ml_assets.config.settings import Settings
from ml_assets.storage.files import replace_file

logger = logging.getLogger("serving.http.workers")


def workers_folder(settings: Settings, model: str) -> Path:
    """Where the workers of a model's server say what they serve: a worker must get there on a full disk, too.

    BentoML gives the workers of a server a folder in common for their metrics, which `serving.deploy.process` keeps off
    the disk of the data; a process that is alone has none.
    """
    common = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(common) if common else settings.model_home(model) / "serving" / "workers"


class Workers:
    """This worker's word, and that of the others that the same server started.

    Args:
        folder: common to all workers.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._me = {"pid": os.getpid(), "server": os.getppid()}

    @property
    def orphaned(self) -> str | None:
        """What it means that the process which started this one is gone; None while it is there."""
        server = self._me["server"]
        if os.getppid() == server:
            return None
        return f"the server's first process ({server}) is gone: workers that end are not started anew; deploy again"

    def say(self, status: dict[str, Any]) -> None:
        """Say what this worker serves now; a disk that refuses is logged and stops nothing."""
        try:
            with replace_file(self._folder / f"{os.getpid()}.json") as aside:
                aside.write_bytes(orjson.dumps(status | self._me))
        except OSError:
            logger.exception("could not say in %s what this worker serves", self._folder)

    def leave(self) -> None:
        """This worker ends."""
        (self._folder / f"{os.getpid()}.json").unlink(missing_ok=True)

    def all(self) -> list[dict[str, Any]]:
        """What every living worker of this server said last, by process id."""
        said = (_read(path) for path in self._folder.glob("*.json"))
        ours = [each for each in said if each.get("server") == self._me["server"] and _lives(each.get("pid"))]
        return sorted(ours, key=lambda each: int(each["pid"]))


def _read(path: Path) -> dict[str, Any]:
    try:
        said = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return said if isinstance(said, dict) else {}


def _lives(pid: object) -> bool:
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
