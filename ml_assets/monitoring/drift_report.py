"""What is said about drift on a day: figures for machines and pages, a sentence for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

from ml_assets.learning.spec import DriftSpec
from ml_assets.monitoring.bins import Bins
from ml_assets.monitoring.demand import DEMAND
from ml_assets.monitoring.population import Population
from ml_assets.monitoring.psi import BoolArray, Distances, FloatArray, benjamini_hochberg
from ml_assets.monitoring.reports import Report
from ml_assets.monitoring.windows import Days, Volume, compared_with

SCORE = "score"
CAUSES = 3
"""Features the text names."""
GROSS = 1.0
"""Excess PSI from which on a feature that the model reads alarms whatever it weighs, and on its first day: half of the
rows and more lie where there were none, and nobody can say what a model makes of values it has never seen."""
DRAWN = 12
"""Features whose bins are told even if they did not drift: those the model looks at most."""

State = Literal["judged", "no reference yet", "too few rows"]


class Bin(Report):
    """A bin's share of the rows compared with and of the day's."""

    label: str
    reference: float
    current: float


class FeatureDrift(Report):
    """One column on the newest day.

    `psi` = `noise` (chance) + `healthy` (what a usual day may show) + `excess`. `p` and `q` (Benjamini-Hochberg)
    are of no change. `weight` is the share of the model's attribution; the score and what no model reads have 0.
    `history` is the PSI of every judged day. `bins` are told of what drifted on a judged day or weighs most.
    """

    name: str
    weight: float
    psi: float
    noise: float
    healthy: float
    excess: float
    p: float
    q: float
    drifted: bool
    history: tuple[float, ...]
    bins: tuple[Bin, ...]


class Window(Report):
    """One judged day: the columns that drifted, the share of the model's attribution they carry, those gone far."""

    day: date
    drifted: tuple[str, ...]
    weighted_share: float
    score_drifted: bool
    gross: tuple[str, ...] = ()
    alarm: bool


class DriftReport(Report):
    """What is known about drift on a day; `alarm`, `weighted_share` and `score_drifted` are the day's own.

    `windows` ascending, the day last; `persistent` is over them. `features`: the score, then by weight.
    `volumes` are of the version's days around, `left_out` those that are not in the reference as they drifted.
    """

    model: str
    day: date
    state: State
    text: str
    version: str | None = None
    persistent: bool = False
    alarm: bool = False
    weighted_share: float = 0.0
    score_drifted: bool = False
    windows: tuple[Window, ...] = ()
    reference: tuple[date, ...] = ()
    left_out: tuple[date, ...] = ()
    volumes: tuple[Volume, ...] = ()
    features: tuple[FeatureDrift, ...] = ()


@dataclass(frozen=True)
class Column:
    """A binned column: rows [T days, G groups, B bins] and how far its days lie from those compared with.

    `by_category` is the distance where that is far, as it is when products of a category count as alike: few
    categories with one value each cross a bin's edge together, which looks like the end of the world.
    """

    bins: Bins
    counts: FloatArray
    distances: Distances
    weight: float
    by_category: Distances | None = None

    def gross(self, first: int) -> BoolArray:
        """Whether the model reads the column and the days from the `first` on have gone grossly far."""
        if self.by_category is None or self.weight <= 0:
            return np.zeros(len(self.distances.psi) - first, dtype=bool)
        return np.asarray(np.minimum(self.by_category.excess, self.distances.excess)[first:] >= GROSS)


def judged_report(
    columns: Sequence[Column], days: Days, rules: DriftSpec, *, model: str, version: str, volumes: Sequence[Volume]
) -> DriftReport:
    """Decide which columns drifted on which window, which windows alarm, and whether that lasts."""
    first = len(days.reference)
    q = np.stack([benjamini_hochberg(p) for p in np.array([each.distances.p[first:] for each in columns]).T], axis=1)
    excess = np.array([each.distances.excess[first:] for each in columns])
    drifted = (q <= rules.false_discovery_rate) & (excess > rules.excess_psi)
    gross = drifted & np.array([each.gross(first) for each in columns])
    windows = tuple(_window(day, columns, drifted[:, at], gross[:, at], rules) for at, day in enumerate(days.windows))
    drawn, against = _drawn(columns, drifted), compared_with(days)[-1]
    features = [
        _feature(each, first, against, float(q[at, -1]), bool(drifted[at, -1]), drawn=at in drawn)
        for at, each in enumerate(columns)
    ]
    features.sort(key=lambda each: (each.name != SCORE, -each.weight, each.name))
    today = windows[-1]
    persistent = bool(today.gross) or sum(each.alarm for each in windows) >= rules.needed
    return DriftReport(
        model=model, day=today.day, state="judged", text=_text(windows, features, persistent), version=version,
        persistent=persistent, alarm=today.alarm, weighted_share=today.weighted_share,
        score_drifted=today.score_drifted, windows=windows, reference=days.reference, left_out=days.left_out,
        volumes=tuple(volumes), features=tuple(features),
    )  # fmt: skip


def _window(day: date, columns: Sequence[Column], drifted: BoolArray, gross: BoolArray, rules: DriftSpec) -> Window:
    found = sorted((each for each, one in zip(columns, drifted, strict=True) if one), key=lambda each: -each.weight)
    share = float(sum(each.weight for each in found))
    names = tuple(each.bins.column for each in found)
    heavy = share > 0 and share >= rules.weight
    far = tuple(each.bins.column for each, one in zip(columns, gross, strict=True) if one)
    alarm = heavy or bool(far) or SCORE in names or DEMAND in names
    return Window(day=day, drifted=names, weighted_share=share, score_drifted=SCORE in names, gross=far, alarm=alarm)


def _drawn(columns: Sequence[Column], drifted: BoolArray) -> set[int]:
    heaviest = sorted(range(len(columns)), key=lambda at: (-columns[at].weight, at))[:DRAWN]
    unread = (at for at, each in enumerate(columns) if each.bins.column == SCORE)
    return {*heaviest, *unread, *np.flatnonzero(drifted.any(axis=1)).tolist()}


def _feature(column: Column, first: int, compared: BoolArray, q: float, drifted: bool, *, drawn: bool) -> FeatureDrift:
    found, daily = column.distances, column.counts.sum(axis=1)
    usual, today = daily[:first][compared].sum(axis=0), daily[-1]
    usual, today = usual / max(usual.sum(), 1), today / max(today.sum(), 1)
    shares = zip(column.bins.labels, usual.tolist(), today.tolist(), strict=True)
    return FeatureDrift(
        name=column.bins.column, weight=column.weight, psi=float(found.psi[-1]), noise=float(found.noise[-1]),
        healthy=found.allowed, excess=float(found.excess[-1]), p=float(found.p[-1]), q=float(q), drifted=drifted,
        history=tuple(found.psi[first:].tolist()),
        bins=tuple(Bin(label=label, reference=p, current=q) for label, p, q in shares) if drawn else (),
    )  # fmt: skip


def _text(windows: Sequence[Window], features: Sequence[FeatureDrift], persistent: bool) -> str:
    alarms, today = [each.day.isoformat() for each in windows if each.alarm], windows[-1]
    if windows[-1].gross:
        said = f"gross drift of {', '.join(windows[-1].gross)}"
    elif persistent:
        said = f"persistent drift on {len(alarms)} of {len(windows)} days ({', '.join(alarms)})"
    else:
        said = f"drift on {', '.join(alarms)}, not persistent" if alarms else "no drift"
    score = ", and so did the scores" if today.score_drifted else ""
    causes = "; ".join([_cause(each) for each in features if each.drifted][:CAUSES])
    told = f"{said}; features with {today.weighted_share:.0%} of the attribution drifted on {today.day}{score}"
    return f"{told}: {causes}" if causes else told


def _cause(feature: FeatureDrift) -> str:
    moved = max(feature.bins, key=lambda each: abs(each.current - each.reference))
    shares = f"{moved.label}: {moved.reference:.0%} → {moved.current:.0%}"
    return f"{feature.name} (weight {feature.weight:.1%}, PSI {feature.psi:.2f}; {shares})"


def unjudged_report(
    model: str, day: date, version: str | None, volumes: Sequence[Volume], of: Population, *, state: State
) -> DriftReport:
    """Say why a day is not judged."""
    today = next((each for each in volumes if each.day == day), None)
    if state == "no reference yet":
        text = f"version {version} has too few days of traffic before, or all with the features of one day"
    elif today is None:
        text = "no model answered anybody"
    else:
        text = of.volume(today.rows, today.customers)
    return DriftReport(
        model=model, day=day, state=state, text=f"{state}: {text}", version=version, volumes=tuple(volumes)
    )
