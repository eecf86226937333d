"""What is said about drift on a day: figures for machines and pages, a sentence for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ml_assets.config.model_spec import DriftSpec
from ml_assets.monitoring.drift.bins import Bins
from ml_assets.monitoring.drift.demand import DEMAND
from ml_assets.monitoring.drift.psi import BoolArray, Distances, FloatArray, benjamini_hochberg
from ml_assets.monitoring.drift.windows import Days, Volume, compared_with
from ml_assets.monitoring.population import Population
from ml_assets.monitoring.reports import Report

SCORE = "score"
CAUSES = 3
"""Features the text names."""
GROSS = 1.0
"""Excess PSI from which on a feature that the model reads alarms whatever it weighs, and on its first day: half of the
rows and more lie where there were none, and nobody can say what a model makes of values it has never seen."""
DRAWN = 12
"""Features whose bins are told even if they did not drift: those the model looks at most."""

YOUNG = "; the version is new: of what was shown, only that counts which lies grossly far from the versions before it"

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

    `windows` ascending, the day last; `persistent` is over them. `versions` made the rows of `reference` and `windows`.
    `features`: the score, then by weight. `volumes` are of the version's days around, `left_out` those that are not in
    the reference as they drifted.
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
    versions: tuple[str, ...] = ()
    left_out: tuple[date, ...] = ()
    volumes: tuple[Volume, ...] = ()
    features: tuple[FeatureDrift, ...] = ()

    @property
    def passed(self) -> bool | None:
        """Whether no drift persists; None when the day was not judged."""
        return not self.persistent if self.state == "judged" else None

    @property
    def weight(self) -> float:
        """How bad the day is beside others."""
        return self.weighted_share


@dataclass(frozen=True)
class Column:
    """A binned column: rows [T days, G groups, B bins] and how far its days lie from those compared with.

    The newest `judged` days are judged, those before them are its reference.
    `by_category` is the distance where that is far, as it is when products of a category count as alike: few
    categories with one value each cross a bin's edge together, which looks like the end of the world. `compared` are
    the reference days of the newest day; None: those of all columns.
    """

    bins: Bins
    counts: FloatArray
    distances: Distances
    weight: float
    judged: int
    by_category: Distances | None = None
    compared: BoolArray | None = None

    @property
    def gross(self) -> BoolArray:
        """[judged] whether the model reads the column and it has gone grossly far."""
        if self.by_category is None or self.weight <= 0:
            return np.zeros(self.judged, dtype=bool)
        return np.asarray(np.minimum(self.by_category.excess, self.distances.excess)[-self.judged :] >= GROSS)

    @property
    def logged(self) -> bool:
        """Whether the first days have any value of it."""
        return bool(self.counts[0, :, 1:].sum() > 0)


def judged_report(
    columns: Sequence[Column],
    days: Days,
    rules: DriftSpec,
    *,
    model: str,
    version: str,
    volumes: Sequence[Volume],
    young: bool = False,
) -> DriftReport:
    """Decide which columns drifted on which window, which windows alarm, and whether that lasts.

    Windows are the days of the column of which most are judged. A `young` version is compared with the days of versions
    before it, which showed other products: of what was shown, only that counts which has gone grossly far; demand
    counts as ever.
    """
    judged = max(each.judged for each in columns)
    p = np.array([_newest(each.distances.p[-each.judged :], judged, 1.0) for each in columns])
    asked = np.array([each.bins.column == DEMAND for each in columns])
    q = p.copy()  # demand is a question of its own, however many features there are
    q[~asked] = np.stack([benjamini_hochberg(each) for each in p[~asked].T], axis=1)
    excess = np.array([_newest(each.distances.excess[-each.judged :], judged, -np.inf) for each in columns])
    drifted = (q <= rules.false_discovery_rate) & (excess > rules.excess_psi)
    far = [_newest(each.gross & (each.logged or not young), judged, False) for each in columns]
    gross = drifted & np.array(far, dtype=bool)
    if young:
        drifted &= gross | asked[:, None]
    newest = [each.day for each in volumes][-judged:]
    windows = tuple(_window(day, columns, drifted[:, at], gross[:, at], rules) for at, day in enumerate(newest))
    drawn, against = _drawn(columns, drifted), compared_with(days)[-1]
    features = [
        _feature(each, against, float(q[at, -1]), bool(drifted[at, -1]), drawn=at in drawn)
        for at, each in enumerate(columns)
    ]
    features.sort(key=lambda each: (each.name != SCORE, -each.weight, each.name))
    today = windows[-1]
    persistent = bool(today.gross) or sum(each.alarm for each in windows) >= rules.needed
    text = _text(windows, features, persistent, rules)
    return DriftReport(
        model=model, day=today.day, state="judged", text=f"{text}{YOUNG}" if young else text, version=version,
        persistent=persistent, alarm=today.alarm, weighted_share=today.weighted_share,
        score_drifted=today.score_drifted, windows=windows, reference=days.reference, versions=days.versions,
        left_out=days.left_out, volumes=tuple(volumes), features=tuple(features),
    )  # fmt: skip


def _newest(values: NDArray[Any], judged: int, otherwise: float) -> NDArray[Any]:
    """The judged days' values, with days before them that were not judged."""
    return np.concatenate([np.full(judged - len(values), otherwise), values])


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


def _feature(column: Column, compared: BoolArray, q: float, drifted: bool, *, drawn: bool) -> FeatureDrift:
    found, daily = column.distances, column.counts.sum(axis=1)
    compared = compared if column.compared is None else column.compared
    usual, today = daily[: -column.judged][compared].sum(axis=0), daily[-1]
    usual, today = usual / max(usual.sum(), 1), today / max(today.sum(), 1)
    shares = zip(column.bins.labels, usual.tolist(), today.tolist(), strict=True)
    return FeatureDrift(
        name=column.bins.column, weight=column.weight, psi=float(found.psi[-1]), noise=float(found.noise[-1]),
        healthy=float(found.allowed[-1]), excess=float(found.excess[-1]), p=float(found.p[-1]), q=q,
        drifted=drifted, history=tuple(found.psi[-column.judged :].tolist()),
        bins=tuple(Bin(label=label, reference=p, current=q) for label, p, q in shares) if drawn else (),
    )  # fmt: skip


def _text(windows: Sequence[Window], features: Sequence[FeatureDrift], persistent: bool, rules: DriftSpec) -> str:
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
    told = f"{told}: {causes}" if causes else told
    if not today.drifted or today.alarm:
        return told
    why = f"{today.weighted_share:.1%} of what it looks at changed, {rules.weight:.0%} would be an alarm"
    return f"{told}; the model hardly looks at it ({why}): whether that costs anything, the quality says"


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
