"""The service's own Prometheus metrics: BentoML's cost more per request than the ranking does."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import ValueClass

from ml_assets.registry.release import Stage
from serving.model.breaker import State
from serving.model.exchange import RoutedResponse
from serving.model.features import GuardedReader, Reader
from serving.model.router import Serving
from serving.schemas import FeedbackRequest

BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds; fine around the 10 ms that the service aims at."""
BREAKER = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}
SWAPS = ("loaded", "rejected", "fallback")
"""What became of a pointer; anything else became of a release."""


class Metrics:
    """Counters of one worker; `expose` adds up all workers where BentoML gave them a common folder."""

    def __init__(self) -> None:
        own = self._own = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=own)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=own, multiprocess_mode="mostrecent")

        self.requests = counter("recommend_requests_total", "Answers by HTTP status", "status")
        self.turned_away = counter(
            "requests_turned_away_total", "Requests of who may not ask, by HTTP status", "status"
        )
        self.answers = counter("recommend_answers_total", "Answers by who made them", "arm", "version")
        self.seconds = Histogram("recommend_seconds", "Time to make a ranked answer", buckets=BUCKETS, registry=own)
        self.ranked = counter("recommend_ranked_products_total", "Products scored")
        self.unknown_customers = counter("recommend_unknown_customers_total", "Answers to customers nobody knows")
        self.unknown_products = counter("recommend_unknown_products_total", "Products named that nobody knows")
        self.degraded = counter("recommend_degraded_total", "Degraded answers", "part")
        self.breaker = gauge("online_store_breaker", "Whether features are read: 0 yes, 1 one attempt, 2 no")
        self.feedback = counter("feedback_requests_total", "Answers to feedback by HTTP status", "status")
        self.feedback_events = counter("feedback_events_total", "What customers did with products", "event_type")
        self.swaps = counter("model_swaps_total", "Versions taken up, refused, or replaced by older ones", "outcome")
        self.serving = gauge("model_serving", "1 for the version that serves", "version")
        self.as_of = gauge("model_as_of_seconds", "What counts as now, Unix time")
        self.release_stage = gauge("release_stage", "1 for the stage of the release under way", "stage")
        self.release_share = gauge("release_share", "Share of customers the challenger answers")
        self.releases = counter("release_changes_total", "Releases taken up or ended, ignored, or unusable", "outcome")
        self.challenger_failures = counter(
            "challenger_failures_total", "Answers the challenger could not make", "version"
        )
        self.shadow_dropped = counter("shadow_dropped_total", "Requests the challenger did not score unseen")
        self.logged = counter("prediction_log_lines_total", "Lines logged")
        self.log_dropped = counter("prediction_log_dropped_total", "Lines not logged")
        self.log_stopped = gauge("prediction_log_stopped", "Whether nothing is logged, see /readyz: 0 no, 1 yes")
        self.connections_closed = counter("http_connections_closed_total", "Connections over a limit", "reason")
        for outcome in SWAPS:
            self.swaps.labels(outcome)
        self._served: str | None = None
        self._breaker = State.CLOSED

    def answered(self, answered: RoutedResponse, seconds: float) -> None:
        """Count an answer that took so long to make."""
        answer = answered.answer
        self.requests.labels("200").inc()
        self.answers.labels(answered.arm.value, answered.model_version).inc()
        self.seconds.observe(seconds)
        self.ranked.inc(answer.ranked)
        if not answer.customer_known:
            self.unknown_customers.inc()
        if answer.unknown_products:
            self.unknown_products.inc(len(answer.unknown_products))
        for part in answer.degraded:
            self.degraded.labels(part).inc()
        if answered.loaded:
            self._note_breaker(answered.loaded.reader)

    def _note_breaker(self, reader: Reader) -> None:
        state = reader.store.breaker.state if isinstance(reader, GuardedReader) else State.OPEN
        if state is not self._breaker:
            self._breaker = state
            self.breaker.set(BREAKER[state])

    def fed_back(self, given: FeedbackRequest) -> None:
        """Count feedback that was taken."""
        self.feedback.labels("202").inc()
        for event in given.events:
            self.feedback_events.labels(event.event_type).inc()

    def refused(self, reason: str) -> None:
        """Count a connection that was closed because it was over a limit."""
        self.connections_closed.labels(reason).inc()

    def challenger_failed(self, version: str) -> None:
        """Count an answer that a challenger could not make."""
        self.challenger_failures.labels(version).inc()

    def swapped(self, outcome: str, serving: Serving) -> None:
        """Count what became of a pointer or a release, and show what serves now."""
        (self.swaps if outcome in SWAPS else self.releases).labels(outcome).inc()
        version = serving.champion.pointer.model_version if serving.champion else None
        if self._served not in {None, version}:
            self.serving.labels(self._served).set(0)
        self._served = version
        if serving.champion:
            self.serving.labels(version).set(1)
            self.as_of.set(serving.champion.pointer.now)
        release = serving.release
        for stage in Stage:
            self.release_stage.labels(stage.value).set(float(release is not None and release.stage is stage))
        self.release_share.set(release.share if release and serving.challenger else 0.0)

    def expose(self) -> bytes:
        """Prometheus text, of all workers together when they share a folder, else of this one."""
        if not ValueClass._multiprocess:  # what a library puts into the environment later changes nothing
            return generate_latest(self._own)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call] # the library has no types
        return generate_latest(shared)
