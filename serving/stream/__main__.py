"""`python -m serving.stream`: answer the requests of a topic with what this bento serves, until SIGTERM or ctrl-C.

A process of its own beside the HTTP server, with the same configuration, pointer, release and prediction log. Ends
with 0 when it was asked to and everything in hand was answered and committed, else with 1; nothing is lost either way.
"""

from __future__ import annotations

import logging
import signal
import sys
import time

from ml_assets.config.settings import Settings, load_settings
from serving.config import ServiceConfig, load_config
from serving.http.runtime import Runtime
from serving.stream.broker import LOOK, Broker
from serving.stream.leave import Leave, StreamError
from serving.stream.loop import Stream
from serving.stream.metrics import Pages, StreamMetrics

logger = logging.getLogger("serving.stream")


def run(config: ServiceConfig, settings: Settings, leave: Leave) -> None:
    """Answer the model's topic of requests until asked to leave.

    Raises:
        StreamError: when the model has no topic, or the stream cannot begin or go on.
    """
    spec, model = config.streaming, config.model_name
    if spec is None:
        raise StreamError(f"the service of {model} was built without serving.streaming: add it, and build it anew")
    runtime, metrics = Runtime(config, settings), StreamMetrics()
    with Pages(settings, runtime.ready, lambda: runtime.expose() + metrics.expose()):
        runtime.start()
        try:
            _await_model(runtime, leave)
            with Broker(spec, f"serving.streaming of {model}", leave) as broker:
                logger.info("answering %s to %s as a member of %s", spec.requests, spec.answers, spec.group)
                Stream(spec, model, runtime.recommend, runtime.log, broker, metrics, leave).run()
        finally:
            runtime.stop()
    logger.info("everything in hand is answered and committed; left the group")


def main() -> int:
    """Run until a signal; 0 when nothing was left in hand."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    leave = Leave()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, leave.ask)
    try:
        run(load_config(), load_settings(), leave)
    except StreamError as error:
        logger.error("%s", error)
        return 1
    return 0


def _await_model(runtime: Runtime, leave: Leave) -> None:
    """Requests wait in their topic until something can answer."""
    while runtime.ready().status != 200 and not leave.asked:
        time.sleep(LOOK)


if __name__ == "__main__":
    sys.exit(main())
