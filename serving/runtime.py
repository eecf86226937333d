"""One worker's state: the follower, the router, the log, the metrics, and what answers each path.

Requests are answered on the event loop; loading, logging and scoring unseen run in threads of their own.
"""

from __future__ import annotations

import gc
import logging
import os
import sys

from ml_assets.registry.pointer import pointer_path
from ml_assets.registry.release import release_path
from ml_assets.settings import Settings
from serving.config import ServiceConfig
from serving.fallback import popular_path
from serving.feedback import Feedback
from serving.follower import Follower
from serving.metrics import Metrics
from serving.prediction_log import PredictionLog, log_folder
from serving.recommend import Recommend
from serving.router import Router
from serving.schemas import Reply
from serving.shadow import Shadow
from serving.workers import Workers, workers_folder

SWITCH_SECONDS = 0.001
"""How long a loading thread may hold the interpreter while a request waits."""


class Runtime:
    """Everything that one worker has; nothing is loaded or written before `start`.

    Attributes:
        log: takes what was answered, and keeps it.
        recommend: answers the model's route.
        feedback: answers `/feedback`.
    """

    log: PredictionLog
    recommend: Recommend
    feedback: Feedback

    def __init__(self, config: ServiceConfig, settings: Settings) -> None:
        self.config = config
        self.metrics = Metrics()
        self._settings = settings
        self.follower = Follower(
            pointer_path(settings, config.model_name),
            release_path(settings, config.model_name),
            config,
            built_in=config.built_in(settings),
            popular=popular_path(settings, config.model_name),
            observe=self._swapped,
        )
        self._workers = Workers(workers_folder(settings, config.model_name))

    def start(self) -> None:
        """Load what is to be served, and follow pointer and release from now on."""
        logging.getLogger("serving").setLevel(logging.INFO)
        sys.setswitchinterval(SWITCH_SECONDS)
        config, metrics, follower = self.config, self.metrics, self.follower
        served_by = f"{config.tag}/{os.getpid()}"
        self.log = PredictionLog(
            log_folder(self._settings, config.model_name),
            dropped=metrics.log_dropped.inc,
            written=metrics.logged.inc,
        )
        self._shadow = Shadow(
            self.log.put,
            served_by,
            wanted=follower.under_way,
            dropped=metrics.shadow_dropped.inc,
            failed=metrics.challenger_failed,
        )
        self.feedback = Feedback(self.log, metrics, replay=self._settings.replay)
        self.recommend = Recommend(
            config,
            follower,
            Router(config, follower.under_way, failed=metrics.challenger_failed),
            log=self.log,
            shadow=self._shadow,
            metrics=metrics,
            served_by=served_by,
            replay=self._settings.replay,
        )
        follower.start()
        gc.collect()
        gc.freeze()  # what was imported and loaded stays: no collection has to walk it again

    def stop(self) -> None:
        """Stop following and scoring, write the rest of the log."""
        self.follower.stop()
        self._workers.leave()
        self._shadow.close()
        self.log.close()

    def ready(self) -> Reply:
        """`GET /readyz`: 200 and what this worker and the others serve, or 503 and the reason."""
        status = self.follower.status() | {"code": self.config.code, "pid": os.getpid()}
        others = {"workers": self._workers.all(), "workers_wanted": self.config.workers}
        return Reply(503 if status["status"] == "not ready" else 200, status | others)

    def _swapped(self, outcome: str) -> None:
        self.metrics.swapped(outcome, self.follower.serving)
        self._workers.say(self.follower.status())

    def expose(self) -> bytes:
        """`GET /metrics`: Prometheus text."""
        return self.metrics.expose()
