"""The simulated shop's customers as a client of the live service: they ask, look, click, and the shop reports it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import numpy as np

from ml_assets.simulation.shop import Shop
from ml_assets.simulation.spec import SimulationSpec

BATCH = 50
"""Requests between two looks at what the customers did; the clicks of a batch are reported together."""
OPENS, SECONDS_OPEN = 8, 14 * 3600
"""First hour of the shop's day, and how long customers come in."""


@dataclass
class DayOfTraffic:
    """What one day's customers were answered, and what they did with it."""

    day: date
    answers: int = 0
    clicked: int = 0
    """Answers with at least one click."""
    purchased: int = 0
    by_version: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Version, or `popular` -> (answers, answers with a click)."""
    failures: list[str] = field(default_factory=list)

    @property
    def click_rate(self) -> float:
        """Share of answers with at least one click."""
        return self.clicked / max(self.answers, 1)


class Crowd:
    """Customers of a simulated shop who ask a running service."""

    def __init__(
        self,
        simulation: SimulationSpec,
        url: str,
        route: str,
        customers: Sequence[str],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._shop = Shop(simulation)
        self._customers = np.array(sorted(customers))
        self._seed = simulation.seed
        self._route = route
        self._client = httpx.Client(base_url=url, headers=headers, timeout=10, trust_env=False)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def visitors(self, day: date, count: int) -> list[str]:
        """Who asks on a day: a draw without repetition, the same one each time."""
        rng = np.random.default_rng([self._seed, day.toordinal()])
        return [str(each) for each in rng.permutation(self._customers)[:count]]

    def live(self, day: date, visitors: Sequence[str]) -> DayOfTraffic:
        """Let these customers come one after the other through the day, and return what happened."""
        found = DayOfTraffic(day)
        for _ in self.stream(day, visitors, found):
            pass
        return found

    def stream(self, day: date, visitors: Sequence[str], found: DayOfTraffic, pause: float = 0.0) -> Iterator[int]:
        """As `live`, batch by batch: `found` grows, the number of answers so far is yielded after each batch."""
        opens = datetime.combine(day, datetime.min.time()) + timedelta(hours=OPENS)
        step = SECONDS_OPEN / max(len(visitors), 1)
        for start in range(0, len(visitors), BATCH):
            batch = visitors[start : start + BATCH]
            moments = [opens + timedelta(seconds=step * (start + n)) for n in range(len(batch))]
            said = [self._ask(customer, moment, found) for customer, moment in zip(batch, moments, strict=True)]
            self._react(day, [each for each in said if each], found)
            yield found.answers
            time.sleep(pause)

    def _ask(self, customer: str, moment: datetime, found: DayOfTraffic) -> dict[str, Any] | None:
        response = self._client.post(self._route, json={"customer": customer, "time": f"{moment.isoformat()}Z"})
        if response.status_code != 200:
            found.failures.append(f"{customer} at {moment}: status {response.status_code}: {response.text[:200]}")
            return None
        said: dict[str, Any] = response.json()
        return said | {"moment": moment}

    def _react(self, day: date, said: list[dict[str, Any]], found: DayOfTraffic) -> None:
        if not said:
            return
        answers = self._shop.answer_many([each["customer"] for each in said], [each["products"] for each in said], day)
        asked: Counter[str] = Counter()
        clicks: Counter[str] = Counter()
        for row, each in enumerate(said):
            asked[each["model_version"]] += 1
            clicks[each["model_version"]] += bool(answers.clicked[row].any())
            self._report(each, answers, row, found)
        found.answers += len(said)
        found.clicked += sum(clicks.values())
        found.purchased += int(answers.purchased.any(axis=1).sum())
        for version in asked:
            before = found.by_version.get(version, (0, 0))
            found.by_version[version] = (before[0] + asked[version], before[1] + clicks[version])

    def _report(self, said: dict[str, Any], answers: Any, row: int, found: DayOfTraffic) -> None:
        """Post what the customer did to the service, as a shop's front end would."""
        done = {"click": answers.clicked[row], "cart": answers.carted[row], "purchase": answers.purchased[row]}
        after = (said["moment"] + timedelta(seconds=30)).isoformat() + "Z"
        events = [
            {"product": product, "event_type": kind, "time": after}
            for kind, positions in done.items()
            for product, happened in zip(said["products"], positions, strict=False)
            if happened
        ]
        if events:
            answered = {name: said[name] for name in ("prediction_id", "feedback_token")}
            response = self._client.post("/feedback", json={**answered, "events": events})
            if response.status_code != 202:
                found.failures.append(f"feedback: status {response.status_code}: {response.text[:200]}")
