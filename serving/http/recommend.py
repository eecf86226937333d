"""A request to a model, over HTTP or from a topic: read, routed, answered, counted; over HTTP also logged.

Scoring runs on the event loop itself: an answer takes a few milliseconds of one core, which a thread would
only make slower.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from serving.config import ServiceConfig
from serving.http.feedback_token import Tokens
from serving.http.metrics import Metrics
from serving.log.prediction_log import PredictionLog
from serving.model import lines
from serving.model.exchange import RequestContext, RoutedResponse
from serving.model.hot_reloader import HotReloader
from serving.model.kinds import kind_of
from serving.model.router import Router
from serving.model.shadow import Shadow
from serving.schemas import Refusal, Reply

logger = logging.getLogger("serving.http.recommend")


@dataclass(frozen=True, slots=True)
class Response:
    """What became of a request: the reply, and the line of the prediction log that says so."""

    reply: Reply
    line: dict[str, Any]


class Recommend:
    """Answers requests with what the follower serves at that moment."""

    def __init__(
        self,
        config: ServiceConfig,
        follower: HotReloader,
        router: Router,
        *,
        log: PredictionLog,
        shadow: Shadow,
        metrics: Metrics,
        tokens: Tokens | None,
        served_by: str,
        replay: bool,
    ) -> None:
        self._kind, self._follower, self._router = kind_of(config), follower, router
        self._log, self._shadow, self._metrics, self._tokens = log, shadow, metrics, tokens
        self._served_by, self._replay = served_by, replay

    def handle(self, body: bytes) -> Reply:
        """The answer to a request that was posted, logged.

        Raises:
            Refusal: 4xx naming the fields that are wrong.
        """
        made = self.make(body, uuid.uuid4().hex)
        self._log.put(made.line)
        return made.reply

    def refuse(self, refusal: Refusal, began: float) -> Reply:
        """Count and log a refusal and say it."""
        made = self.refused(refusal, began)
        self._log.put(made.line)
        return made.reply

    def make(self, body: bytes, prediction_id: str, at: datetime | None = None) -> Response:
        """Answer a request, whoever brought it; whoever did has the line logged.

        Args:
            body: the request, JSON.
            prediction_id: what the answer is called: 32 hexadecimal digits. What is drawn, is drawn from it: the
                same request under the same id has the same answer, as long as the same version and features serve.
            at: when it was asked; None: now. What a replay says in the request comes first.

        Raises:
            Refusal: 4xx naming the fields that are wrong.
        """
        began = time.perf_counter()
        # read once: form and answer are of one version whatever happens meanwhile
        serving = self._follower.serving
        request, k = self._kind.parse(body, serving.champion, replay=self._replay)
        asked = RequestContext(prediction_id, request, k, request.time or at or datetime.now(UTC))
        try:
            answered = self._router.answer(serving, request, asked.k, int(prediction_id, 16))
        except Refusal as refusal:
            return self.refused(Refusal(refusal.status, f"{refusal.error}: {self._follower.reason}"), began, asked.at)
        except Exception:
            logger.exception("a request could not be answered")
            wrong = Refusal(500, "the request could not be answered; the service's log says why")
            return self.refused(wrong, began, asked.at)
        seconds = time.perf_counter() - began
        self._metrics.answered(answered, seconds)
        line = self._kind.line(asked, answered, seconds, self._served_by)
        said = self._kind.body(asked, answered)
        if self._tokens:
            said["feedback_token"] = self._tokens.of(prediction_id)
        return Response(Reply(200, said, self._afterwards(asked, answered)), line)

    def refused(self, refusal: Refusal, began: float, at: datetime | None = None) -> Response:
        """Count a refusal of a request that came in at `began` (`time.perf_counter`), asked at `at`; None: now."""
        self._metrics.requests.labels(str(refusal.status)).inc()
        return Response(Reply(refusal.status, refusal.body()), lines.refusal(refusal, began, at))

    def _afterwards(self, asked: RequestContext, answered: RoutedResponse) -> Callable[[], None] | None:
        if answered.shadow is None:
            return None
        return partial(self._shadow.put, asked, answered.shadow, answered.release_id)
