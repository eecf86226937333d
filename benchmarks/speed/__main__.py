"""`make bench`: every item beside its peer and its floor; a table, and `benchmarks/results/latest.json`.

`make bench QUICK=1` takes smaller scales and ends within five minutes; `make bench ONLY="offline online"` takes some.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback
from pathlib import Path

from benchmarks.speed.result import LATEST, QUICK, keep, read, show
from ml_assets.config.settings import PROJECT

ITEMS = ("offline", "online", "serving", "batch", "tuning", "orchestration", "growth")
"""Modules of this package; each has `measure(quick, work) -> Iterator[Result]`."""


def main(arguments: list[str] | None = None) -> int:
    """Measure what was asked for; 1 when an item failed, the others are measured all the same."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("items", nargs="*", choices=[*ITEMS, []], help="which items; all when none is named")
    parser.add_argument("--quick", action="store_true", help="small scales, five minutes")
    parser.add_argument("--work", type=Path, default=PROJECT / "var" / "bench", help="folder for generated data")
    asked = parser.parse_args(arguments)
    path = QUICK if asked.quick else LATEST
    asked.work.mkdir(parents=True, exist_ok=True)
    failed = []
    for item in asked.items or ITEMS:
        began = time.monotonic()
        print(f"== {item}", flush=True)
        try:
            for result in importlib.import_module(f"benchmarks.speed.{item}").measure(asked.quick, asked.work):
                keep(path, [result])
                print(f"   {result.name} ({result.scale}): {result.ours:,.4g} {result.unit}", flush=True)
        except Exception:
            traceback.print_exc()
            failed.append(item)
        print(f"== {item}: {time.monotonic() - began:.0f} s", flush=True)
    show(read(path), f"{path}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
