"""`make bench-swaps`: a hundred model swaps under load, and not one answer lost or mixed up.

Needs a finished `make demo`: its index and online store serve four versions of its champion (cut to fewer trees)
from a home of its own. Pointer moves and releases take turns: begin as a shadow, canary, a larger share, promotion or
rollback. Clients ask all the while, each over its own connection, and every answer is checked: status 200; the scores
are the named version's own for that customer; version and arm are what pointer and release said at some moment
between request and answer. Prints one line; ends with 1 when any answer failed a check.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.speed.home import free_port
from benchmarks.swap_load import swap_under_load
from ml_assets.config.model_spec import ModelSpec, model_spec
from ml_assets.config.settings import Settings, load_settings
from ml_assets.registry.pointer import Pointer, pointer_path, require_pointer
from ml_assets.registry.versions import load_version, publish_version
from ml_assets.retrieval.index import RetrievalIndex
from serving.deploy.build import build_bento
from serving.deploy.process import start, stop

MODEL = "product_recommender"
MOVES, CLIENTS, CUSTOMERS = 100, 4, 40


def main() -> int:
    """Serve the demo's shop from a home of its own, swap, and report."""
    demo = load_settings()
    spec = model_spec(MODEL)
    plain = {"holdback": 0.0, "exploration": 0.0, "feature_timeout_ms": 5000.0}  # a slow machine is no wrong answer
    spec = spec.model_copy(update={"serving": spec.serving.model_copy(update=plain)})
    served = require_pointer(pointer_path(demo, spec.name))
    with tempfile.TemporaryDirectory(prefix="swaps-") as home:
        own = {"home": Path(home), "host": "127.0.0.1", "port": free_port(), "api_key": None}
        settings = demo.model_copy(update=own)
        pointers = [served.model_copy(update=cut) for cut in _cut(settings, spec, served)]
        customers = _customers(served)
        bento = build_bento(spec, pointers[0].model_path, settings, index_folder=served.index_path, as_of=served.as_of)
        try:
            url = start(settings, bento).url
            account = swap_under_load(settings, url, spec, pointers, customers, moves=MOVES, clients=CLIENTS)
        finally:
            stop(settings, spec.name)
    print(account.text)
    for problem in [*account.failures, *account.mixed()][:10]:
        print(problem, file=sys.stderr)
    return 1 if account.failures or account.mixed() else 0


def _cut(settings: Settings, spec: ModelSpec, served: Pointer) -> Iterator[dict[str, Any]]:
    """Versions that answer differently: the champion's first trees."""
    whole = load_version(served.model_path)
    booster = whole.booster()
    for part in (1.0, 0.75, 0.5, 0.25):
        trees = max(1, int(part * booster.num_trees()))
        version = publish_version(
            settings,
            spec.name,
            booster.model_to_string(num_iteration=trees),
            run_id="swaps",
            features=whole.features,
            params={},
            training_set=whole.training_set,
            metrics={},
            created_from={"trees": trees},
        )
        yield {"model_version": version.version, "model_path": version.path, "model_sha256": version.sha256}


def _customers(served: Pointer) -> list[str]:
    known = RetrievalIndex.load(served.index_path).customers
    return known[:: max(1, len(known) // CUSTOMERS)][:CUSTOMERS]


if __name__ == "__main__":
    sys.exit(main())
