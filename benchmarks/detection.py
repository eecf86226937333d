"""`make bench-detection`: are changes of the world found in time, and is nothing found where nothing changed?

Ten simulated shops of three sizes answer for seven healthy weeks each; in each of them the world changes once in each
way, on a weekday of its own. Every day is watched as in production: drift, quality, the traffic check on raw data, and
the decision to train again. Bars:

- at most one alarm (a drift or a loss that persists, on good data) in 100 healthy weeks: none in the 70 that are lived
  through, which excludes more than about four; `--weeks 20` takes three times as long and tells it better;
- price_shock, taste_shift and new_category: an alarm within `DAYS` days of data of the changed world, in every shop;
- tracking_bug: found to be bad data within `DAYS` days, and no training on any of its days;
- the traffic check: at most one false finding in 1,400 days on which tracking was whole.

Shops that were lived through stay in the folder (`--fresh` begins anew): with other thresholds only the watching is
done again. Exit status 1 when a bar is missed. `--quick` is a smoke test on two shops, which judges nothing.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from benchmarks.replayed_shops import HEALTHY, SCENARIOS, ShopPlan, live_through, plans
from benchmarks.watched import Watched, episodes, watch
from ml_assets.config.model_spec import ModelSpec, SplitSpec, model_specs
from ml_assets.config.settings import PROJECT, SHOP, load_settings
from ml_assets.storage.files import write_text_atomically

DAYS = 2
MAX_ALARMS = 1 / 100
"""Per healthy week."""
MAX_FALSE_TRAFFIC = 1 / 1400
"""Per day on which tracking was whole."""
CUSTOMERS = 400
"""Each decision is learned from so many customers: a champion that ranks as well as it has to, in half the time."""
BUG = "tracking_bug"
RESULTS = PROJECT / "benchmarks" / "results"
T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """One shop, watched: life -> its days."""

    plan: ShopPlan
    lives: dict[str, list[Watched]]


@dataclass(frozen=True)
class Bar:
    """A bar, what was measured, and whether it was reached."""

    name: str
    wanted: str
    measured: str
    ok: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Live through the shops, watch them, print the table; 0 when every bar was reached."""
    given = _parser().parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    shops, weeks = (2, 4) if given.quick else (given.shops, given.weeks)
    home = given.home or load_settings().home / ("bench-detection-quick" if given.quick else "bench-detection")
    spec, began = watched_spec(), time.monotonic()
    chosen = plans(home, shops, weeks)
    if given.fresh:
        for plan in chosen:
            plan.mark.unlink(missing_ok=True)
    console.print(f"{shops} shops, {weeks} healthy weeks each, {given.processes} processes, in {home}")
    for line in _each(partial(live_through, spec=spec), chosen, given.processes, home / "log.txt"):
        console.print(f"{time.monotonic() - began:5.0f} s  {line}")
    outcomes = []
    for outcome in _each(partial(watch_shop, spec=spec), chosen, given.processes, home / "log.txt"):
        outcomes.append(outcome)
        console.print(f"{time.monotonic() - began:5.0f} s  watched shop {outcome.plan.name}")
        _tell(console, outcome)
    found = bars(outcomes)
    _show(console, found)
    told = json.dumps([vars(bar) for bar in found], indent=1)
    write_text_atomically(RESULTS / "detection.json", told + "\n")
    console.print(f"{time.monotonic() - began:.0f} s")
    return 0 if given.quick or all(bar.ok for bar in found) else 1


def watched_spec() -> ModelSpec:
    """The shipped model as it is watched, with clicks told by the shop, and cut as closely as `retraining.split`."""
    spec = model_specs(SHOP)[0]
    quality = spec.monitoring.quality.model_copy(update={"outcomes": "feedback"})
    monitoring = spec.monitoring.model_copy(update={"quality": quality})
    split = SplitSpec(train=8, validation=1, test=1, holdout=0, customers=CUSTOMERS)
    retraining = spec.retraining.model_copy(update={"split": split})
    return spec.model_copy(update={"monitoring": monitoring, "retraining": retraining})


def watch_shop(plan: ShopPlan, spec: ModelSpec) -> Outcome:
    """Watch every life of a shop."""
    lives = {}
    for name in (HEALTHY, *SCENARIOS):
        life = plan.life(name, spec)
        lives[name] = watch(life, [life.day(number) for number in plan.days(name)])
    return Outcome(plan, lives)


def bars(outcomes: Sequence[Outcome]) -> list[Bar]:
    """Every bar, judged over all shops."""
    healthy = [outcome.lives[HEALTHY] for outcome in outcomes]
    weeks = sum(day.judged for days in healthy for day in days) / 7
    alarms = sum(len(episodes(days)) for days in healthy)
    found = [
        Bar(
            "false alarms",
            f"at most {weeks * MAX_ALARMS:.1f}",
            f"{alarms} in {weeks:.0f} weeks",
            alarms <= weeks * MAX_ALARMS,
        )
    ]
    for name in SCENARIOS:
        if name != BUG:
            delays = [_delay(day.alarm for day in outcome.lives[name]) for outcome in outcomes]
            found.append(_within(f"{name}: alarm", delays))
    found.append(_within(f"{BUG}: bad data", [_delay(bool(day.traffic) for day in o.lives[BUG]) for o in outcomes]))
    trained = sum(day.retrain for outcome in outcomes for day in outcome.lives[BUG])
    found.append(Bar(f"{BUG}: trainings", "0", str(trained), trained == 0))
    whole = [day for outcome in outcomes for name, days in outcome.lives.items() if name != BUG for day in days]
    false = sum(bool(day.traffic) for day in whole)
    most = max(1.0, len(whole) * MAX_FALSE_TRAFFIC)
    found.append(Bar("false bad data", f"at most {most:.1f}", f"{false} on {len(whole):,} days", false <= most))
    return found


def _delay(days: Iterable[bool]) -> int | None:
    """Days of data up to the first that is true, from 1; None when none is."""
    return next((number for number, true in enumerate(days, start=1) if true), None)


def _within(name: str, delays: Sequence[int | None]) -> Bar:
    told = ", ".join(f"{'missed' if each is None else each}" for each in delays)
    return Bar(name, f"within {DAYS} days", told, all(each is not None and each <= DAYS for each in delays))


def _each(work: Callable[[ShopPlan], T], chosen: Sequence[ShopPlan], processes: int, log: Path) -> Iterator[T]:
    """Each shop in a process of its own: what one leaves in memory is no other's."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        processes, mp_context=spawn, initializer=_quiet, initargs=(log,), max_tasks_per_child=1
    ) as pool:
        for done in as_completed([pool.submit(work, plan) for plan in chosen]):
            yield done.result()


def _quiet(log: Path) -> None:
    """What libraries say, progress bars and all, goes to the log; one thread each."""
    os.environ["OMP_NUM_THREADS"] = "1"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as opened:
        os.dup2(opened.fileno(), 1)
        os.dup2(opened.fileno(), 2)
    logging.disable(logging.WARNING)


def _tell(console: Console, outcome: Outcome) -> None:
    """One letter per day (D drift, Q loss, B both, T bad data), and what the false alarms were."""
    for name, days in outcome.lives.items():
        console.print(f"          {name:13s}{''.join(day.mark for day in days)}")
    for day in episodes(outcome.lives[HEALTHY]):
        console.print(f"          [red]{day.day}[/] {day.drift or day.loss}")


def _show(console: Console, found: Sequence[Bar]) -> None:
    table = Table("", "bar", "wanted", "measured")
    for bar in found:
        table.add_row("[green]✓[/]" if bar.ok else "[red]✗[/]", bar.name, bar.wanted, bar.measured)
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__.split("\n")[0])
    parser.add_argument("--home", type=Path, help="folder of the shops (default: bench-detection in ML_ASSETS_HOME)")
    parser.add_argument("--shops", type=int, default=10)
    parser.add_argument("--weeks", type=int, default=7, help="healthy weeks of each shop (%(default)s)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="live through the shops again")
    parser.add_argument("--quick", action="store_true", help="two shops, four weeks: does it run")
    return parser


if __name__ == "__main__":
    sys.exit(main())
