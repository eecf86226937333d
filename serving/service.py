"""The BentoML service: the entry point of every bento this project builds.

BentoML's metrics and access log are off, and its tracing is told to leave every address alone: each costs
more per request than a ranked answer does. `FrontDoor` answers the service's own paths; BentoML supervises
the workers, validates nothing, and keeps the rest (its index page, `/schema.json`).
"""

from __future__ import annotations

from typing import Any, cast

import bentoml

from ml_assets.config.settings import load_settings
from serving.config import load_config
from serving.http.front_door import FrontDoor
from serving.http.http_limits import install
from serving.http.runtime import Runtime

RUNTIME = Runtime(load_config(), load_settings())
"""This worker's state; it loads nothing until the worker starts."""
install(RUNTIME.metrics.refused)


@bentoml.service(
    name=RUNTIME.config.model_name,
    workers=RUNTIME.config.workers,
    traffic={"timeout": 30},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
)
class Recommender:
    """Ranks products for a customer: `POST /recommend`, `/feedback`, `GET /readyz`, `/livez`, `/metrics`."""

    def __init__(self) -> None:
        RUNTIME.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator] # bentoml's decorators are untyped
    def close(self) -> None:
        """Write the rest of the prediction log before the worker ends."""
        RUNTIME.stop()


cast("bentoml.Service[Any]", Recommender).add_asgi_middleware(FrontDoor, runtime=RUNTIME)
