"""One worker's state: the follower, the router, the log, the metrics, and what answers each path.

Requests are answered on the event loop; loading, logging and scoring unseen run in threads of their own.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from functools import partial

from ml_assets.config.settings import OWN, Settings
from ml_assets.registry.pointer import pointer_path
from ml_assets.registry.release import release_path
from ml_assets.registry.release_journal import why_taken_back
from ml_assets.storage.log_layout import log_folder, server_log
from serving.config import ServiceConfig
from serving.http.feedback import Feedback
from serving.http.feedback_token import tokens_of
from serving.http.metrics import Metrics
from serving.http.recommend import Recommend
from serving.http.server_log import ServerLog
from serving.http.workers import Workers, workers_folder
from serving.log.prediction_log import PredictionLog
from serving.model.fallback import popular_path
from serving.model.hot_reloader import HotReloader
from serving.model.kinds import kind_of
from serving.model.router import Router
from serving.model.shadow import Shadow
from serving.schemas import Reply

SWITCH_SECONDS = 0.001
"""How long a loading thread may hold the interpreter while a request waits."""


class Runtime:
    """Everything that one worker has; nothing is loaded or written before `start`.

    Attributes:
        log: takes what was answered, and keeps it.
        recommend: answers the model's route.
        feedback: answers `/feedback`; None where the model takes none.
    """

    log: PredictionLog
    recommend: Recommend
    feedback: Feedback | None
    _router: Router

    def __init__(self, config: ServiceConfig, settings: Settings) -> None:
        self.config = config
        self.metrics = Metrics()
        self.settings = settings
        self.follower = HotReloader(
            pointer_path(settings, config.model_name),
            release_path(settings, config.model_name),
            config,
            built_in=config.built_in(settings),
            popular=popular_path(settings, config.model_name),
            observe=self._swapped,
            taken_back=partial(why_taken_back, settings, config.model_name),
        )
        self._workers = Workers(workers_folder(settings, config.model_name))
        self._server_log = ServerLog(server_log(settings, config.model_name))
        self._log_problem: str | None = None

    def start(self) -> None:
        """Load what is to be served, and follow pointer and release from now on."""
        os.umask(OWN)
        logging.getLogger("serving").setLevel(logging.INFO)
        sys.setswitchinterval(SWITCH_SECONDS)
        config, metrics, follower = self.config, self.metrics, self.follower
        served_by = f"{config.tag}/{os.getpid()}"
        self.log = PredictionLog(
            log_folder(self.settings, config.model_name),
            dropped=metrics.log_dropped.inc,
            written=metrics.logged.inc,
            looked=self._log_looked_at,
        )
        self._server_log.start()
        self._shadow = Shadow(
            self.log.put,
            served_by,
            wanted=follower.under_way,
            dropped=metrics.shadow_dropped.inc,
            failed=metrics.challenger_failed,
        )
        tokens = tokens_of(self.settings, config.model_name) if kind_of(config).takes_feedback else None
        self.feedback = Feedback(self.log, metrics, tokens, replay=self.settings.replay) if tokens else None
        self._router = Router(config, follower.under_way, failed=metrics.challenger_failed)
        self.recommend = Recommend(
            config,
            follower,
            self._router,
            log=self.log,
            shadow=self._shadow,
            metrics=metrics,
            tokens=tokens,
            served_by=served_by,
            replay=self.settings.replay,
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
        self._server_log.stop()

    def ready(self) -> Reply:
        """`GET /readyz`: 200 and what this worker and the others serve, or 503 and the reason.

        A version that is loaded and cannot answer is not "ready": what needs no model answers for it.
        """
        own = {"log_problem": self._log_problem, "code": self.config.code, "pid": os.getpid()}
        status = self.follower.status() | own
        if status["status"] == "ready" and self._router.fault:
            status |= {"status": "the model fails", "problem": self._router.fault}
        if self._workers.orphaned:
            status["problem"] = "; ".join(filter(None, (self._workers.orphaned, status.get("problem"))))
        others = {"workers": self._workers.all(), "workers_wanted": self.config.workers}
        return Reply(503 if status["status"] == "not ready" else 200, status | others)

    def _swapped(self, outcome: str) -> None:
        self.metrics.swapped(outcome, self.follower.serving)
        self._workers.say(self.follower.status())

    def _log_looked_at(self, problem: str | None) -> None:
        self._log_problem = problem
        self.metrics.log_stopped.set(problem is not None)

    def expose(self) -> bytes:
        """`GET /metrics`: Prometheus text."""
        return self.metrics.expose()
