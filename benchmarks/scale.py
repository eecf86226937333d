"""`make bench-scale`: the whole demo on about 10 M simulated events; prints wall time and peak memory of all processes.

`python -m benchmarks.scale simulated` does the same for the shop as it ships.

Peak memory is the largest sum of the resident sets of the demo's processes, sampled twice a second; pages that forked
steps share are counted once per process, so it is an upper bound.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import psutil

from ml_assets.config.settings import PROJECT, load_settings
from ml_assets.storage.files import write_text_atomically

SHOP = "simulated_10x"
RESULTS = PROJECT / "benchmarks" / "results"


def main() -> int:
    """Run the demo at ten times its size and report what it took."""
    shop = sys.argv[1] if len(sys.argv) > 1 else SHOP
    settings = load_settings().model_copy(update={"shop": shop})
    settings.export()
    began, peak = time.monotonic(), 0
    with subprocess.Popen([sys.executable, "-m", "ml_assets", "demo"], cwd=PROJECT) as demo:
        while demo.poll() is None:
            peak = max(peak, resident(psutil.Process(demo.pid)))
            time.sleep(0.5)
    took = time.monotonic() - began
    result = {
        "name": "demo",
        "shop": shop,
        "seconds": round(took, 1),
        "peak_mb": peak // 2**20,
        "ok": demo.returncode == 0,
    }
    write_text_atomically(RESULTS / "scale.json", json.dumps(result, indent=1) + "\n")
    print(f"{shop}: {took:.0f} s, at most {peak / 2**30:.1f} GiB; {RESULTS / 'scale.json'}")
    return int(demo.returncode)


def resident(root: psutil.Process) -> int:
    """Bytes in memory of a process and everything it started."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


if __name__ == "__main__":
    sys.exit(main())
