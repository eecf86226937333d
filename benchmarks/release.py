"""`python -m benchmarks.release`: does the release harm nobody who does no harm, and stop in time who does?

Canaries are run through the real judgement, looked at after every batch of customers, once with customers who are
coin tosses and once with the simulated shop's customers in front of lists. In an A/A canary both arms are the same; a
harmful one has half the click rate. Seeds are fixed. It ends with 1 when a bar is missed:

- at most 1 % of the A/A canaries of each world are rolled back;
- no harmful canary is promoted, and each has ended before 2,000 customers saw it;
- every harmful one is taken off for its harm; at a base rate of 5 % at least 90 % are, and the others are held at
  the planned size, which takes them off as well: 2,000 customers are too few to tell all of those from the harmless.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ml_assets.config.model_spec import ModelSpec, ReleaseSpec
from ml_assets.registry.release import Release, Stage, bucket
from ml_assets.release import Action, judge
from ml_assets.release.observed import Answers, ArmData, Drawn

CANARIES = 500
BATCH = 20
"""Customers between two looks."""
PLANNED = 1_900
"""Customers judged at the end: so that the last look comes before 2,000 have seen the canary."""
LIMIT = 2_000
RATES = (0.05, 0.1, 0.2, 0.4)
FALSE_ROLLBACKS = 0.01
LEAST_ROLLED_BACK = {0.05: 0.9}
SPEC = ModelSpec(name="ranker", description="d", spine="s", feature_service="f", release=ReleaseSpec(customers=PLANNED))

Visit = tuple[str | int, float, bool, bool]
"""A customer, where in [0, 1) they fall, and whether they click on the champion's list and on the canary's."""


class Tally:
    """Counts visits as `ml_assets.release.read` counts the log."""

    def __init__(self) -> None:
        self.step = 1
        self.answers = [0, 0]
        self._shares = [0.0]
        self._counts: dict[tuple[int, int], list[int]] = {}
        self._customers: dict[str | int, list[int]] = {}

    def visit(self, customer: str | int, canary: bool, clicked: bool) -> None:
        """A customer is shown a list of an arm."""
        self.answers[canary] += 1
        last = self._customers.get(customer)
        if last is None or (last[0] != self.step and not last[2]):
            last = [self.step, last[0] if last else 0, int(canary), 0]
            self._customers[customer] = last
            self._counts.setdefault((last[0], last[1]), [0, 0, 0, 0])[canary] += 1
        if clicked and last[0] == self.step and last[2] == canary and not last[3]:
            last[3] = 1
            self._counts[last[0], last[1]][2 + canary] += 1

    def seen(self, share: float) -> ArmData:
        """What a look sees while the canary has this share."""
        shares = [*self._shares, share]
        drawn = tuple(
            Drawn((shares[step] - shares[before]) / (1 - shares[before]), own, other, clicked, theirs, step, before)
            for (step, before), (other, own, theirs, clicked) in self._counts.items()
        )
        return ArmData(Answers(self.answers[True]), Answers(self.answers[False]), drawn, self.step)

    def advance(self, share: float) -> None:
        """The share so far gives way to the next."""
        self._shares.append(share)
        self.step += 1


@dataclass(frozen=True)
class Ended:
    """How a canary ended, and how many customers had seen it by then."""

    action: Action
    customers: int


def run(spec: ModelSpec, visits: Iterator[Visit]) -> Ended:
    """Let customers come until the judgement ends the release.

    Raises:
        RuntimeError: when there are too few of them.
    """
    release, tally = _release(spec.release.steps[0]), Tally()
    for number, (customer, place, champion, canary) in enumerate(visits, start=1):
        own = place < release.share
        tally.visit(customer, own, canary if own else champion)
        if number % BATCH:
            continue
        seen = tally.seen(release.share)
        verdict = judge(spec, release, seen)
        if verdict.action is Action.ADVANCED and verdict.share is not None:
            tally.advance(release.share)
            release = release.model_copy(update={"share": verdict.share})
        elif verdict.action is not Action.WAITING:
            return Ended(verdict.action, seen.customers)
    raise RuntimeError("too few customers came to judge the release")


def _release(share: float) -> Release:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Release(
        release_id="r", model_name="ranker", champion_version="a", model_version="b", model_path=Path("/b"),
        model_sha256="0" * 64, stage=Stage.CANARY, share=share, started_at=now, changed_at=now,
    )  # fmt: skip


def coin_tosses(seed: int, rate: float, effect: float) -> Iterator[Visit]:
    """Customers who come once and click with a fixed chance, `effect` times that on the canary's list."""
    rng, customer = np.random.default_rng(seed), 0
    while True:
        draw = rng.random((3, 2_000))
        rows = zip(draw[0].tolist(), (draw[1] < rate).tolist(), (draw[2] < rate * effect).tolist(), strict=True)
        for place, champion, canary in rows:
            customer += 1
            yield customer, place, champion, canary


class Crowd:
    """The simulated shop's customers in front of popular products, or of products so unpopular that half click."""

    SHOWN = 3
    DAY = 14

    def __init__(self, customers: int = 16_000) -> None:
        from ml_assets.simulation import Shop, SimulationSpec

        spec = SimulationSpec(customers=customers, products=800, categories=24, events_per_day=2000.0)
        self._shop, self._day = Shop(spec), spec.start + timedelta(days=self.DAY)
        past = [self._shop.day(spec.start + timedelta(days=day)).events for day in range(self.DAY - 3)]
        products, counts = np.unique(
            np.concatenate([each["product_id"].drop_null().to_numpy(zero_copy_only=False) for each in past]),
            return_counts=True,
        )
        catalogue = {product for product, count in zip(products, counts, strict=True) if count > 2}
        ranked = [str(product) for product in products[np.argsort(-counts, kind="stable")] if product in catalogue]
        self.customers = [f"C{number:06d}" for number in range(customers)]
        self.good = ranked[: self.SHOWN]
        self.rate = self._rate(self.good)
        self.bad = min(
            (ranked[start : start + self.SHOWN] for start in range(0, len(ranked) - self.SHOWN, 12)),
            key=lambda shown: abs(self._rate(shown) - self.rate / 2),
        )
        self.bad_rate = self._rate(self.bad)

    def _rate(self, shown: Sequence[str], customers: int = 2_000) -> float:
        asked = self.customers[:customers]
        return float(self._shop.answer_many(asked, [shown] * len(asked), self._day).clicked.any(axis=1).mean())

    def visits(self, seed: int, harmful: bool) -> Iterator[Visit]:
        """Customers come in any order, and come back."""
        rng, salt, round_ = np.random.default_rng(seed), f"release-{seed}", 0
        while True:
            came = rng.choice(self.customers, 1_000).tolist()
            asked = [f"{salt}-{round_}-{number}" for number in range(len(came))]
            champion = self._clicked(came, self.good, asked)
            canary = self._clicked(came, self.bad, asked) if harmful else champion
            places = [bucket(salt, customer) for customer in came]
            yield from zip(came, places, champion, canary, strict=True)
            round_ += 1

    def _clicked(self, customers: Sequence[str], shown: Sequence[str], asked: Sequence[str]) -> list[bool]:
        found = self._shop.answer_many(customers, [shown] * len(customers), self._day, asked)
        return [bool(each) for each in found.clicked.any(axis=1)]


@cache
def crowd() -> Crowd:
    """The shop's customers, made once per process."""
    return Crowd()


def tosses(seeds: Sequence[int], rate: float, effect: float) -> list[Ended]:
    """Run canaries in front of coin tosses."""
    return [run(SPEC, coin_tosses(seed, rate, effect)) for seed in seeds]


def shop(seeds: Sequence[int], rate: float, effect: float) -> list[Ended]:
    """Run canaries in front of the simulated shop's customers."""
    return [run(SPEC, crowd().visits(seed, harmful=effect < 1)) for seed in seeds]


Way = Callable[[Sequence[int], float, float], list[Ended]]


def main() -> int:
    """Run all canaries and print what became of them."""
    began, console = time.monotonic(), Console(highlight=False, width=120)
    workers, seeds = os.cpu_count() or 1, list(range(CANARIES))
    worlds: list[tuple[str, Way, float]] = [("simulated shop", shop, crowd().rate)]
    worlds += [(f"coin tosses, {rate:.0%}", tosses, rate) for rate in RATES]
    table = Table("customers", "canary", "rolled back", "held", "promoted", "stopped", "median", "most", "bar")
    missed = False
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        asked = [
            (name, rate, effect, [pool.submit(way, seeds[part::workers], rate, effect) for part in range(workers)])
            for name, way, rate in worlds
            for effect in (1.0, 0.5)
        ]
        for name, rate, effect, parts in asked:
            ended = [each for part in parts for each in part.result()]
            faults = _faults(ended, rate, effect)
            missed |= bool(faults)
            table.add_row(name, "A/A" if effect == 1 else "half", *_told(ended), "; ".join(faults) or "ok")
    console.print(table)
    console.print(
        f"{CANARIES} canaries a row, a look every {BATCH} customers, {PLANNED:,} customers planned. Median and most: "
        f"customers who had seen the canary when it ended. The shop's click rate is {crowd().rate:.3f}, on degraded "
        f"lists {crowd().bad_rate:.3f}. {time.monotonic() - began:.0f} s"
    )
    return int(missed)


def _told(ended: Sequence[Ended]) -> list[str]:
    actions = (Action.ROLLED_BACK, Action.HELD, Action.PROMOTED, Action.STOPPED)
    counts = [sum(each.action is action for each in ended) for action in actions]
    customers = [each.customers for each in ended]
    return [
        *(f"{count} ({count / len(ended):.1%})" for count in counts),
        f"{np.median(customers):,.0f}",
        f"{max(customers):,}",
    ]


def _faults(ended: Sequence[Ended], rate: float, effect: float) -> list[str]:
    """The bars that were missed."""
    rolled_back = sum(each.action is Action.ROLLED_BACK for each in ended) / len(ended)
    if effect == 1:
        return [f"more than {FALSE_ROLLBACKS:.0%} rolled back"] if rolled_back > FALSE_ROLLBACKS else []
    least = LEAST_ROLLED_BACK.get(rate, 1.0)
    found = {
        f"fewer than {least:.0%} rolled back": rolled_back < least,
        "promoted": any(each.action is Action.PROMOTED for each in ended),
        f"seen by {LIMIT:,}": any(each.customers >= LIMIT for each in ended),
    }
    return [fault for fault, is_so in found.items() if is_so]


if __name__ == "__main__":
    sys.exit(main())
