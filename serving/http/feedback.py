"""`POST /feedback`: what customers did with what they were shown."""

from __future__ import annotations

from serving.http.feedback_token import Tokens
from serving.http.metrics import Metrics
from serving.log.prediction_log import PredictionLog
from serving.model import lines
from serving.schemas import Refusal, Reply, parse_feedback


class Feedback:
    """Takes outcomes of answers into the prediction log; which products these showed is settled there."""

    def __init__(self, log: PredictionLog, metrics: Metrics, tokens: Tokens, *, replay: bool) -> None:
        self._log, self._metrics, self._tokens, self._replay = log, metrics, tokens, replay

    def handle(self, body: bytes) -> Reply:
        """202 and how many events were taken; all of a request's or none.

        Raises:
            Refusal: 4xx when the body is wrong (403 when the token is not that answer's), 503 when the log cannot
                take more at the moment.
        """
        given = parse_feedback(body, replay=self._replay)
        if not self._tokens.fits(given.prediction_id, given.feedback_token):
            wrong = "not the one that came with the answer of this prediction_id"
            raise Refusal(403, "the feedback is to no answer of this service", (("feedback_token", wrong),))
        if not self._log.put(*lines.outcomes(given)):
            raise Refusal(503, "the log is full: send it again")
        self._metrics.fed_back(given)
        return Reply(202, {"prediction_id": given.prediction_id, "accepted": len(given.events)})

    def refuse(self, refusal: Refusal, began: float) -> Reply:
        """Count a refusal and say it."""
        del began  # the log keeps refusals of recommendations only: they are the service's errors
        self._metrics.feedback.labels(str(refusal.status)).inc()
        return Reply(refusal.status, refusal.body())
