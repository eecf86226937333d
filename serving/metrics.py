"""The service's own Prometheus metrics: BentoML's cost more per request than the ranking does."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds; fine around the 10 ms that the service aims at."""


class Metrics:
    """Counters of one worker; `expose` adds up all workers where BentoML gave them a common folder."""

    def __init__(self) -> None:
        own = self._own = CollectorRegistry()
        self.requests = Counter("recommend_requests_total", "Answers by HTTP status", ["status"], registry=own)
        self.seconds = Histogram("recommend_seconds", "Time to make a ranked answer", buckets=BUCKETS, registry=own)
        self.ranked = Counter("recommend_ranked_products_total", "Products scored", registry=own)
        self.unknown_customers = Counter(
            "recommend_unknown_customers_total", "Answers to customers nobody knows", registry=own
        )
        self.unknown_products = Counter(
            "recommend_unknown_products_total", "Products named that nobody knows", registry=own
        )
        self.degraded = Counter("recommend_degraded_total", "Degraded answers", ["part"], registry=own)
        self.swaps = Counter(
            "model_swaps_total",
            "Versions taken up, refused, or replaced by the built-in",
            ["outcome"],
            registry=own,
        )
        self.serving = Gauge(
            "model_serving",
            "1 for the version that serves",
            ["version"],
            registry=own,
            multiprocess_mode="mostrecent",
        )
        self.as_of = Gauge(
            "model_as_of_seconds",
            "What counts as now, Unix time",
            registry=own,
            multiprocess_mode="mostrecent",
        )
        self.logged = Counter("prediction_log_lines_total", "Answers logged", registry=own)
        self.log_dropped = Counter("prediction_log_dropped_total", "Answers not logged", registry=own)
        for outcome in ("loaded", "rejected", "fallback"):
            self.swaps.labels(outcome)

    def expose(self) -> bytes:
        """Prometheus text, of all workers together when they share a folder, else of this one."""
        shared = CollectorRegistry()
        try:
            MultiProcessCollector(shared)  # type: ignore[no-untyped-call] # the library has no types
        except ValueError:
            return generate_latest(self._own)
        return generate_latest(shared)
