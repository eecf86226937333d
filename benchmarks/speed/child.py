"""Each contestant runs in a fresh process: its memory is its own, and no cache of another one helps it.

`python -m benchmarks.speed.child module:function '{"argument": 1}'` calls the function and prints what it returns.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import Any

from ml_assets.config.settings import PROJECT

MARK = "@benchmark "


class ChildFailedError(RuntimeError):
    """A contestant ended with an error; the message holds the end of what it printed."""


@dataclass(frozen=True)
class Ran:
    """What a contestant returned, and the most memory its process held.

    `answer["seconds"]` is the time it measured itself, imports and set-up left out.
    """

    answer: dict[str, Any]
    peak_mb: float

    @property
    def seconds(self) -> float:
        """The time it measured itself."""
        return float(self.answer["seconds"])


def run(target: str, env: Mapping[str, str] | None = None, **arguments: Any) -> Ran:
    """Call `module:function` with JSON arguments in a fresh process.

    The function returns a dict of JSON values, among them `seconds`.

    Raises:
        ChildFailedError: when it ends with an error or is killed.
    """
    command = [sys.executable, "-m", "benchmarks.speed.child", target, json.dumps(arguments)]
    with TemporaryFile("w+") as said:  # not a pipe: a server that it leaves running would hold it open
        done = subprocess.run(
            command, cwd=PROJECT, env={**os.environ, **(env or {})}, stdout=said, stderr=subprocess.STDOUT, check=False
        )
        said.seek(0)
        text = said.read()
    marked = [line for line in text.splitlines() if line.startswith(MARK)]
    if done.returncode or not marked:
        raise ChildFailedError(f"{target} ended with {done.returncode}:\n{text[-2000:]}")
    return Ran(*json.loads(marked[-1].removeprefix(MARK)))


def side_by_side(repeats: int, contestants: Mapping[str, tuple[str, dict[str, Any]]]) -> dict[str, Ran]:
    """Run every contestant `repeats` times in turns; returns the run with the median time of each.

    Taking turns lets whatever else the machine does hit all of them alike.
    """
    runs: dict[str, list[Ran]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, (target, arguments) in contestants.items():
            runs[name].append(run(target, **arguments))
    return {name: _middle(each) for name, each in runs.items()}


def _middle(runs: list[Ran]) -> Ran:
    centre = median(ran.seconds for ran in runs)
    return min(runs, key=lambda ran: abs(ran.seconds - centre))


def main() -> None:
    """Call the function the command line names and print its answer behind a mark."""
    module, function = sys.argv[1].split(":")
    answer = getattr(importlib.import_module(module), function)(**json.loads(sys.argv[2]))
    print(MARK + json.dumps([answer, _peak_mb()]), flush=True)


def _peak_mb() -> float:
    """The most this process or one it waited for held, in MiB.

    The kernel's own account of it: what `wait4` tells the parent also counts the parent's memory at the start.
    """
    status = Path("/proc/self/status").read_text()
    own = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


if __name__ == "__main__":
    main()
