"""Reading the prediction log as the service writes it."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def read_lines(folder: Path) -> Iterator[dict[str, Any]]:
    """Every complete line, oldest segment first, with the names of its features."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_bytes().split(b"\n")[:-1]:
            record = json.loads(line)
            if record.get("features_id"):
                record["feature_names"] = json.loads((folder / f"features-{record['features_id']}.json").read_text())
            yield record


def wait_until(happened: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What `happened` says, as soon as it says something."""
    deadline = time.monotonic() + seconds
    while not (said := happened()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return said
