"""What the model server is compared with under bare uvicorn: the scorer alone, and the same service without BentoML.

Both are uvicorn factories in the environment of the deployment; `BENCH_BENTO` names the bento's folder.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import orjson

from ml_assets.config.settings import load_settings
from ml_assets.registry.pointer import pointer_path, require_pointer
from serving.config import ServiceConfig, load_config
from serving.http.front_door import FrontDoor
from serving.http.runtime import Runtime
from serving.model.loader import load
from serving.model.scorer import score
from serving.schemas import RecommendRequest

BENTO = "BENCH_BENTO"
JSON = [(b"content-type", b"application/json")]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def without_bentoml() -> App:
    """The service's own front door and all behind it, log and metrics too, with nothing around it."""
    runtime = Runtime(_config(), load_settings())
    runtime.start()
    return FrontDoor(_nothing_else, runtime)


def scorer() -> App:
    """Request in, `serving.model.scorer.score`, answer out: no router, no log, no metrics, no release."""
    config = _config()
    pointer = require_pointer(pointer_path(load_settings(), config.model_name))
    loaded = load(pointer, config.feature_service, feature_timeout_ms=config.feature_timeout_ms)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await _nothing_else(scope, receive, send)
        said: dict[str, Any] = {"status": "alive"}
        if scope["path"] == config.route:
            request = RecommendRequest.model_validate_json((await receive())["body"])
            answer = score(loaded, request, request.k or config.k)
            said = {"products": answer.products, "scores": answer.scores, "degraded": answer.degraded}
        body = orjson.dumps(said, option=orjson.OPT_SERIALIZE_NUMPY)
        headers = [*JSON, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def _config() -> ServiceConfig:
    return load_config(Path(os.environ[BENTO]) / "src" / "baked")


async def _nothing_else(scope: Scope, receive: Receive, send: Send) -> None:
    """Nothing to do when the server starts or ends."""
    while scope["type"] == "lifespan":
        said = (await receive())["type"]
        await send({"type": f"{said}.complete"})
        if said == "lifespan.shutdown":
            return
