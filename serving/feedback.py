"""`POST /feedback`: what customers did with what they were shown."""

from __future__ import annotations

from serving import lines
from serving.metrics import Metrics
from serving.prediction_log import PredictionLog
from serving.schemas import Refusal, Reply, parse_feedback


class Feedback:
    """Takes outcomes into the prediction log; which answers and products they belong to is settled there."""

    def __init__(self, log: PredictionLog, metrics: Metrics, *, replay: bool) -> None:
        self._log, self._metrics, self._replay = log, metrics, replay

    def handle(self, body: bytes) -> Reply:
        """202 and how many events were taken; all of a request's or none.

        Raises:
            Refusal: 4xx when the body is wrong, 503 when the log cannot take more at the moment.
        """
        given = parse_feedback(body, replay=self._replay)
        if not self._log.put(*lines.outcomes(given)):
            raise Refusal(503, "the log is full: send it again")
        self._metrics.fed_back(given)
        return Reply(202, {"prediction_id": given.prediction_id, "accepted": len(given.events)})

    def refuse(self, refusal: Refusal, began: float) -> Reply:
        """Count a refusal and say it."""
        del began  # the log keeps refusals of recommendations only: they are the service's errors
        self._metrics.feedback.labels(str(refusal.status)).inc()
        return Reply(refusal.status, refusal.body())
