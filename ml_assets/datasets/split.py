"""One global time cut: which decisions train, validate, test, and which stay untouched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from ml_assets.config.model_spec import SplitSpec

SEASON = timedelta(days=364)
"""One year in whole weeks, so that a weekly decision has a counterpart a year earlier."""


class Part(StrEnum):
    """The parts of a training set, oldest first."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    HOLDOUT = "holdout"


LEARNED = (Part.TRAIN, Part.VALIDATION)
"""The parts that training looks at."""


@dataclass(frozen=True)
class Split:
    """The decisions of each part, ascending; no label of a part reaches into a newer part."""

    train: tuple[date, ...]
    validation: tuple[date, ...]
    test: tuple[date, ...]
    holdout: tuple[date, ...]

    def items(self) -> tuple[tuple[Part, date], ...]:
        """Every decision with its part, in the order the rows of a training set are written."""
        return tuple((part, day) for part in Part for day in getattr(self, part.value))


def split_decisions(decisions: Sequence[date], spec: SplitSpec, first_day: date, horizon_days: int) -> Split:
    """Cut the decision calendar into train, validation, test and holdout.

    Counted backwards from the newest decision. A decision whose labels would still be forming when a newer
    part begins is left out (it would hand that part's days to an older part); with decisions at least a
    horizon apart none is.

    Args:
        decisions: decision days whose labels are complete, any order.
        spec: how many decisions each part takes.
        first_day: oldest day with events; a training decision needs `warmup_days` of history after it.
        horizon_days: days in which a label forms.

    Raises:
        ValueError: when there are too few decisions; it says how many are there and how many are needed.
    """
    days, horizon = sorted(set(decisions)), timedelta(days=horizon_days)
    found = _cut(days, spec, first_day, horizon)
    if found is None:
        warm = sum(day - first_day >= timedelta(days=spec.warmup_days) for day in days)
        raise ValueError(
            f"{len(days)} decisions with complete labels, {warm} of them with {spec.warmup_days} days of history "
            f"(split.warmup_days) since {first_day}; it takes {spec.validation} to validate, {spec.test} to test, "
            f"{spec.holdout} to hold out, one to train on, and {horizon_days} days (horizon_days) between its parts. "
            + _advice(days, spec, first_day, horizon)
        )
    return found


def _cut(days: list[date], spec: SplitSpec, first_day: date, horizon: timedelta) -> Split | None:
    """The cut, or None when there are too few decisions for it."""
    holdout, left = _newest(days, spec.holdout, None, horizon)
    test, left = _newest(left, spec.test, _first(holdout), horizon)
    validation, left = _newest(left, spec.validation, _first(test), horizon)
    warm = [day for day in left if day - first_day >= timedelta(days=spec.warmup_days)]
    train, older = _newest(warm, spec.train, _first(validation), horizon)
    if not train or len(test) < spec.test or len(validation) < spec.validation:
        return None
    if spec.same_season:
        season = {day - SEASON for day in (*validation, *test, *holdout)}
        train = tuple(sorted({*train, *(day for day in older if day in season)}))
    return Split(train=train, validation=validation, test=test, holdout=holdout)


def _advice(days: list[date], spec: SplitSpec, first_day: date, horizon: timedelta) -> str:
    """The largest split of the same proportions that these decisions allow, and that trains on most of them."""
    for tenths in range(9, -1, -1):
        sizes = {name: max(getattr(spec, name) * tenths // 10, 1) for name in ("validation", "test")}
        rest = {name: getattr(spec, name) * tenths // 10 for name in ("holdout", "warmup_days")}
        found = _cut(days, spec.model_copy(update=sizes | rest), first_day, horizon)
        if found is not None and len(found.train) >= min(sum(sizes.values()), spec.train):
            said = {"train": min(spec.train, len(found.train)), **sizes, **rest}
            fits = ", ".join(f"{name}: {count}" for name, count in said.items())
            return f"Ingest more days, or say what fits: split: {{{fits}}}"
    return "Ingest more days: no split fits so few."


def _first(days: tuple[date, ...]) -> date | None:
    return days[0] if days else None


def _newest(
    days: list[date], count: int, newer: date | None, horizon: timedelta
) -> tuple[tuple[date, ...], list[date]]:
    """The newest `count` of the days whose labels end before `newer` begins, and the days older than them."""
    closed = days if newer is None else [day for day in days if day + horizon <= newer]
    cut = max(len(closed) - count, 0)
    return tuple(closed[cut:]), closed[:cut]
