"""The quality of what was shown, by what customers did with it: against the promise, popularity, and itself.

Per arm and version: click and purchase rate per answer, NDCG@k and the reciprocal rank of the first hit given a
hit. The champion is compared with what its evaluation promised (`promise` says what of it is comparable), with
the customers who are held back and get popularity, and with its own days before (`loss`).

Degraded answers of a model are left out: a broken store is the service level's matter, and no retraining helps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta
from itertools import groupby
from typing import Literal

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.monitoring.quality.loss import DayMean, Loss
from ml_assets.monitoring.quality.promise import Promise, promise
from ml_assets.monitoring.quality.rates import Z95, Estimate, Moments, answers_sql, difference, estimates, moments
from ml_assets.monitoring.quality.verdict import QUALITY, RECENT_DAYS, Quality, judge_newest, lossy_days, newest_days
from ml_assets.monitoring.reports import Report, read_report, write_report
from ml_assets.monitoring.tables import WHOLE, published_days
from ml_assets.prediction_log import open_days
from ml_assets.registry.release import Arm
from ml_assets.storage import warehouse

_ANSWERS = f"""(
    select prediction_id, time::date as day, arm, model_version as version, customer_id
    from predictions
    where arm <> '{Arm.SHADOW}' and ({WHOLE} or arm not in ('{Arm.CHAMPION}', '{Arm.CANARY}'))
)"""

State = Literal["judged", "no traffic", "outcomes still form", "outcomes missing", "no reference yet"]
Measured = Mapping[tuple[date, str, str], Mapping[str, Moments]]
"""Day, arm and version -> measure -> sums."""
ByVersion = Mapping[tuple[str, str], Mapping[str, Moments]]
ByArm = Mapping[str, Mapping[str, Moments]]


class ArmQuality(Report):
    """One version in one arm; `measures` are named as in `rates.MEASURES`."""

    arm: str
    version: str
    customers: int
    measures: dict[str, Estimate]


class DayQuality(Report):
    """The click rate of one version in one arm on one day; `mature` when its outcomes count as complete."""

    day: date
    arm: str
    version: str
    mature: bool
    click_rate: Estimate


class Baseline(Report):
    """The champion's click rate against that of the customers who are held back and get popularity.

    `lift` is the ratio with its 95 % interval (delta method on the logarithm); None where there are no clicks.
    """

    champion: Estimate
    holdback: Estimate
    gain: Estimate
    lift: float | None
    low: float | None
    high: float | None


class QualityReport(Quality):
    """What is known about a model's quality on a day.

    `arms` is the day alone, `window` the days from `window_from` on whose outcomes are complete, `baseline` is
    of that window; `click_rate` is the champion's on the day, `version` the champion's.
    """

    state: State
    click_rate: float | None
    k: int
    arms: tuple[ArmQuality, ...]
    window: tuple[ArmQuality, ...]
    days: tuple[DayQuality, ...]
    promise: Promise | None
    baseline: Baseline | None


def quality(spec: ModelSpec, settings: Settings, day: date) -> QualityReport:
    """Measure a day and the trailing window before it, judge the newest complete days, write the report.

    Args:
        spec: the model; `monitoring.quality` says when outcomes are complete and what a loss is.
        settings: the deployment.
        day: the newest day looked at.

    Raises:
        WarehouseError: when outcomes are events and there is no warehouse to tell how far they have come.
    """
    complete = _complete(spec, settings, day)
    window_from = day - timedelta(days=spec.monitoring.drift.reference_days - 1)
    by_day, window, by_arm = _measure(spec, settings, day, f"day between date '{window_from}' and date '{complete}'")
    champions = _champions(by_day)
    version = champions[-1].version if champions else None
    state, verdict = _judge(spec, champions, complete, lossy_days(settings, spec.name, champions))
    today = {key[1:]: found for key, found in by_day.items() if key[0] == day}
    rate = today[Arm.CHAMPION, version]["click_rate"].mean if version and (Arm.CHAMPION, version) in today else None
    report = QualityReport(
        model=spec.name,
        day=day,
        state=state,
        loss=verdict is not None and verdict.found,
        text=_text(day, state, verdict, rate, complete),
        mature=day <= complete,
        version=version,
        click_rate=rate,
        k=spec.serving.k,
        arms=_arms(today),
        window_from=window_from,
        window=_arms(window),
        days=_days(by_day, complete),
        verdict=verdict,
        promise=promise(spec, settings, version) if version else None,
        baseline=_baseline(by_arm),
    )
    write_report(settings, spec.name, QUALITY, day, report)
    return report


def read_quality(settings: Settings, model: str, day: date) -> QualityReport:
    """The day's report.

    Raises:
        FileNotFoundError: when the day was not judged yet.
    """
    return read_report(settings, model, QUALITY, day, QualityReport)


def _measure(spec: ModelSpec, settings: Settings, day: date, window: str) -> tuple[Measured, ByVersion, ByArm]:
    """Sums of every day that can matter, and of the window by version and by arm."""
    watched = spec.monitoring
    reach = watched.drift.reference_days + RECENT_DAYS + watched.quality.delay_days
    days = published_days(settings, spec.name, day - timedelta(days=reach), day)
    with open_days(settings, spec.name, days) as connection:
        connection.execute(f"create temp table answers as {answers_sql(_ANSWERS, 'shown', spec.serving.k)}")
        by_day = moments(connection, "answers", ["day", "arm", "version"])
        by_version = moments(connection, "answers", ["arm", "version"], window)
        by_arm = moments(connection, "answers", ["arm"], window)
    return by_day, by_version, {arm: found for (arm,), found in by_arm.items()}


def _complete(spec: ModelSpec, settings: Settings, day: date) -> date:
    """The newest day, `day` at most, whose outcomes are complete by the data's own clock."""
    told = spec.monitoring.quality
    if told.outcomes == "feedback":
        return day
    newest = warehouse.as_of(settings).date() - timedelta(days=1)
    return min(day, newest - timedelta(days=told.delay_days))


def _champions(by_day: Measured) -> list[DayMean]:
    """The champion's answers of each day, of the version that gave most of them, ascending by day."""
    champion = sorted(key for key in by_day if key[1] == Arm.CHAMPION)
    found = []
    for day, keys in groupby(champion, key=lambda key: key[0]):
        clicks = {version: by_day[day, arm, version]["click_rate"] for _, arm, version in keys}
        version = max(clicks, key=lambda each: clicks[each].n)
        found.append(DayMean(day, version, clicks[version]))
    return found


def _judge(spec: ModelSpec, champions: list[DayMean], complete: date, lossy: set[date]) -> tuple[State, Loss | None]:
    """Judge the newest complete days against days before them: of the same version, else of the champion then."""
    if not champions:
        return "no traffic", None
    newest = newest_days(champions, complete, spec.monitoring.drift.windows)
    if not newest:
        return "outcomes still form" if champions[-1].day > complete else "no traffic", None
    verdict = judge_newest(spec, newest, champions, lossy, otherwise=lambda day, before: before, clicks=True)
    if verdict is None:
        return "no reference yet", None
    return "outcomes missing" if verdict.days[-1].missing else "judged", verdict


def _text(day: date, state: State, verdict: Loss | None, rate: float | None, complete: date) -> str:
    said = f"{day}: no answers of the champion" if rate is None else f"{day}: click rate {rate:.1%}"
    if verdict is None:
        return f"{said}; {state}"
    if state == "outcomes missing":
        last = verdict.days[-1]
        usual = f"about {last.expected * last.answers:.0f} clicks are usual"
        return f"{said}; no outcome of {last.day} has arrived, where {usual}: look at where outcomes come from"
    if verdict.found:
        worse = [each for each in verdict.days if each.worse]
        return (
            f"{said}; loss: {verdict.share:.0%} of the expected clicks lack on {', '.join(str(e.day) for e in worse)} "
            f"(z {verdict.z:.1f}): " + ", ".join(f"{e.rate:.1%} instead of {e.expected:.1%}" for e in worse)
        )
    newest = ", ".join(f"{each.day} {each.rate:.1%} (expected {each.expected:.1%})" for each in verdict.days)
    return f"{said}; no loss up to {complete}: {newest}"


def _arms(found: ByVersion) -> tuple[ArmQuality, ...]:
    return tuple(
        ArmQuality(arm=arm, version=version, customers=each["click_rate"].customers, measures=estimates(each))
        for (arm, version), each in sorted(found.items())
    )


def _days(by_day: Measured, complete: date) -> tuple[DayQuality, ...]:
    return tuple(
        DayQuality(day=day, arm=arm, version=version, mature=day <= complete, click_rate=each["click_rate"].estimate)
        for (day, arm, version), each in sorted(by_day.items())
    )


def _baseline(by_arm: ByArm) -> Baseline | None:
    if Arm.CHAMPION not in by_arm or Arm.HOLDBACK not in by_arm:
        return None
    champion, holdback = (by_arm[arm]["click_rate"] for arm in (Arm.CHAMPION, Arm.HOLDBACK))
    gain = difference(champion, holdback)
    lift = low = high = None
    if champion.y and holdback.y and gain.error is not None:
        lift = champion.mean / holdback.mean
        error = math.sqrt(champion.variance / champion.mean**2 + holdback.variance / holdback.mean**2)
        low, high = lift * math.exp(-Z95 * error), lift * math.exp(Z95 * error)
    return Baseline(champion=champion.estimate, holdback=holdback.estimate, gain=gain, lift=lift, low=low, high=high)
