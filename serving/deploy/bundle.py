"""`python -m serving.deploy.bundle STORE OPTIONS`: call `bentoml.build` in a process and a store of its own.

BentoML reads its store from the environment when it is imported, changes the working directory and imports
the service while it builds: none of that belongs into a process that does other work.
"""

from __future__ import annotations

import json
import os
import sys

from ml_assets.config.settings import QUIET


def bundle(store: str, options: str) -> None:
    """Build a bento into `store`; `options` are `bentoml.build`'s, as JSON."""
    os.environ.update(QUIET | {"BENTOML_HOME": store})
    import bentoml

    bentoml.build(**json.loads(options))


if __name__ == "__main__":
    bundle(*sys.argv[1:])
