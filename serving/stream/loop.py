"""Requests from a topic: answered as over HTTP, logged, sent, and only then committed.

A line of the prediction log is written before its answer is sent: nothing anybody can have seen is missing there.
Whenever the process is killed, what was not committed is delivered again and answered under the same ids.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ml_assets.config.streaming_config import StreamingSpec
from serving.http.recommend import Recommend, Response
from serving.log.prediction_log import PredictionLog
from serving.schemas import Refusal
from serving.stream.broker import Broker
from serving.stream.leave import Leave, StreamError
from serving.stream.messages import Outgoing, StreamRequest, answer, dead_letter
from serving.stream.metrics import StreamMetrics

PAUSE = 0.5
"""Seconds until a disk that refused is tried again."""


@dataclass(frozen=True)
class Stream:
    """Answers batches until it is asked to leave; memory holds one batch.

    Attributes:
        spec: topics and limits.
        model: the model's name, part of every prediction id.
        recommend: what answers over HTTP, too.
        log: the prediction log.
        broker: where requests come from and answers go to.
        metrics: counts.
        leave: when to end.
    """

    spec: StreamingSpec
    model: str
    recommend: Recommend
    log: PredictionLog
    broker: Broker
    metrics: StreamMetrics
    leave: Leave

    def run(self) -> None:
        """Answer until asked to leave.

        Raises:
            StreamError: when the broker refuses for good, nothing can be answered, or time was up.
        """
        while not self.leave.asked:
            requests = self.broker.next_batch()
            if requests:
                self._answer(requests)
            self.metrics.waiting(self.broker.lag())

    def _answer(self, requests: Sequence[StreamRequest]) -> None:
        made = [self._make(request) for request in requests]
        self._keep([each.line for each in made])
        sent = self.broker.deliver(self._message(*each) for each in zip(requests, made, strict=True))
        self.broker.commit(requests)
        self._count(sent)
        for each in made:
            if each.reply.afterwards:
                each.reply.afterwards()

    def _make(self, request: StreamRequest) -> Response:
        began = time.perf_counter()
        try:
            request.check_key()
            asked_at = request.asked_at(self.spec.max_age, datetime.now(UTC))
            prediction_id = request.prediction_id(self.spec.identity, self.model)
            made = self.recommend.make(request.value, prediction_id, asked_at)
        except Refusal as refusal:
            made = self.recommend.refused(refusal, began)
        if made.reply.status == 503:
            raise StreamError(f"nothing can be answered: {made.reply.body['error']}")
        return made

    def _message(self, request: StreamRequest, made: Response) -> Outgoing:
        say = answer if made.reply.status == 200 else dead_letter
        return say(self.spec, request, made.reply)

    def _keep(self, lines: Sequence[dict[str, object]]) -> None:
        while not self.log.write(lines):
            self.leave.check("waiting for a disk that takes the prediction log")
            time.sleep(PAUSE)

    def _count(self, sent: Sequence[Outgoing]) -> None:
        now = time.time()
        for message in sent:
            outcome = "answered" if message.topic == self.spec.answers else "dead letter"
            self.metrics.sent(outcome, message.request.milliseconds, now)
