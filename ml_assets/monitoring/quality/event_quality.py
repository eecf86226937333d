"""The quality of predicted labels, once they are known: against the promise, and against the version's own days.

Per day, arm and version: how many predictions there were, how many the caller named (only those can be labelled), how
many have a label, mean prediction and mean label, and the skill (`skill`). Per version over the window: the gate's
metrics and the calibration. What is decided on is the champion's skill (`loss`, `verdict`): whatever moves the base
rate alone, moves no skill.

Degraded answers of a model are left out: a broken store is the service level's matter, and no retraining helps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import cache, partial
from itertools import groupby
from typing import Literal

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.config.sources import source_of
from ml_assets.datasets.calendar import as_of
from ml_assets.monitoring.quality.event_measures import EventDay, EventWindow, Watched, measure
from ml_assets.monitoring.quality.event_promise import EventPromise, Promised, promise
from ml_assets.monitoring.quality.loss import CLEARLY_EXPECTED, MIN_ANSWERS, DayMean, Loss
from ml_assets.monitoring.quality.verdict import QUALITY, RECENT_DAYS, Quality, judge_newest, lossy_days, newest_days
from ml_assets.monitoring.reports import read_report, write_report
from ml_assets.registry.release import Arm

MISSING = 0.5
"""Labels of less than this share of what is usual are missing: those that do arrive may not be like the others."""

State = Literal[
    "judged", "no traffic", "outcomes still form", "outcomes missing", "too few labelled rows", "no reference yet"
]


class EventQualityReport(Quality):
    """What is known about the quality of a model's predictions on a day.

    `window` is of the days from `window_from` on whose labels are complete (up to `complete`); `skill` is the
    champion's on the newest of them, `unnamed` counts its predictions in the window that nobody can label.
    """

    state: State
    complete: date
    skill: float | None
    answers: int
    unnamed: int
    window: tuple[EventWindow, ...]
    days: tuple[EventDay, ...]
    promise: EventPromise | None


def event_quality(spec: ModelSpec, settings: Settings, day: date) -> EventQualityReport:
    """Measure a day and the trailing window before it, judge the newest complete days, write the report.

    Args:
        spec: the model; `monitoring.quality` says when labels are complete and what a loss is.
        settings: the deployment.
        day: the newest day looked at.

    Raises:
        WarehouseError: when there is no warehouse to tell how far the labels have come.
    """
    complete, ended = labels_complete(spec, settings, day)
    window_from = day - timedelta(days=spec.monitoring.drift.reference_days - 1)
    watched = measure(spec, settings, day, window_from, complete)
    champions = _champions(watched)
    version = champions[-1].version if champions else None
    promises = cache(partial(promise, spec, settings))
    state, verdict = _state(spec, champions, day, complete, ended=ended), None
    if state is None:
        state, verdict = _judge(spec, settings, watched, champions, complete=complete, promises=promises)
    promised = promises(version) if version else None
    report = EventQualityReport(
        model=spec.name,
        day=day,
        state=state,
        loss=verdict is not None and verdict.found,
        text=_text(day, state, verdict, watched, complete),
        mature=day <= complete,
        complete=complete,
        version=version,
        skill=verdict.days[-1].rate if verdict else None,
        answers=sum(each.answers for each in watched.days if each.day == day and each.arm == Arm.CHAMPION),
        unnamed=sum(each.answers - each.named for each in watched.window if each.arm == Arm.CHAMPION),
        window_from=window_from,
        window=watched.window,
        days=watched.days,
        verdict=verdict,
        promise=promised.told if promised else None,
    )
    write_report(settings, spec.name, QUALITY, day, report)
    return report


def read_event_quality(settings: Settings, model: str, day: date) -> EventQualityReport:
    """The day's report.

    Raises:
        FileNotFoundError: when the day was not judged yet.
    """
    return read_report(settings, model, QUALITY, day, EventQualityReport)


def labels_complete(spec: ModelSpec, settings: Settings, day: date) -> tuple[date, bool]:
    """The newest day, `day` at most, whose labels are complete by the source's own clock; whether that stands still.

    Of a source whose calendar has ended every label there will ever be is there.
    """
    newest, end = as_of(spec, settings).date() - timedelta(days=1), source_of(spec.source, settings).calendar.end
    delay = timedelta(days=spec.delay_days)
    ended = end is not None and (newest >= end or day > end + delay)  # its last day may have no event
    return (day if ended else min(day, newest - delay)), ended


def _champions(watched: Watched) -> list[EventDay]:
    """The champion's predictions of each day, of the version that made most of them, ascending by day."""
    champion = [each for each in watched.days if each.arm == Arm.CHAMPION]
    return [max(days, key=lambda each: each.answers) for _, days in groupby(champion, key=lambda each: each.day)]


def _state(spec: ModelSpec, champions: Sequence[EventDay], day: date, complete: date, *, ended: bool) -> State | None:
    """Why nothing can be judged; None when there are labels to judge by."""
    if not champions:
        return "no traffic"
    recent = [each for each in champions if complete - timedelta(days=RECENT_DAYS) < each.day <= complete]
    if not recent:
        late = complete < day - timedelta(days=spec.delay_days + RECENT_DAYS)
        forming = champions[-1].day > complete
        return ("outcomes missing" if late else "outcomes still form") if forming else "no traffic"
    missing = not ended and _missing(recent[-1], [each for each in champions if each.day < recent[-1].day])
    return "outcomes missing" if missing else None


def _judge(
    spec: ModelSpec,
    settings: Settings,
    watched: Watched,
    champions: Sequence[EventDay],
    *,
    complete: date,
    promises: Callable[[str], Promised | None],
) -> tuple[State, Loss | None]:
    """Judge the newest complete days against days before them of the same version, else against its promise."""
    known = [each for each in champions if each.key in watched.skills]
    days = [DayMean(each.day, each.version, watched.skills[each.key]) for each in known]
    newest = newest_days(days, complete, spec.monitoring.drift.windows)
    if not newest:
        return "too few labelled rows", None

    def promised(one: DayMean, before: Sequence[DayMean]) -> Sequence[DayMean]:
        found = promises(one.version)
        return found.days if found else ()

    lossy = lossy_days(settings, spec.name, days)
    verdict = judge_newest(spec, newest, days, lossy, otherwise=promised, clicks=False)
    return ("no reference yet", None) if verdict is None else ("judged", verdict)


def _missing(newest: EventDay, before: Sequence[EventDay]) -> bool:
    """Whether labels of a complete day lack: by the share that the days before have, else all of them."""
    named = sum(each.named for each in before)
    usual = sum(each.labelled for each in before) / named if named else 0.0
    if not usual:
        return not newest.labelled and newest.named >= MIN_ANSWERS
    return usual * newest.named >= CLEARLY_EXPECTED and newest.labelled < MISSING * usual * newest.named


def _text(day: date, state: State, verdict: Loss | None, watched: Watched, complete: date) -> str:
    mine = [each for each in watched.days if each.arm == Arm.CHAMPION]
    said = f"{day}: {sum(each.answers for each in mine if each.day == day):,} predictions of the champion"
    unnamed = sum(each.answers - each.named for each in watched.window if each.arm == Arm.CHAMPION)
    if unnamed:
        said += f"; {unnamed:,} of the window name no event and cannot be labelled"
    if verdict is None:
        return f"{said}; {state}{_why(state, mine, complete)}"
    if verdict.found:
        worse = [each for each in verdict.days if each.worse]
        return f"{said}; loss of skill on {', '.join(str(e.day) for e in worse)} (z {verdict.z:.1f}): " + ", ".join(
            f"{e.rate:.3f} instead of {e.expected:.3f}" for e in worse
        )
    newest = ", ".join(f"{each.day} {each.rate:.3f} (expected {each.expected:.3f})" for each in verdict.days)
    return f"{said}; no loss of skill up to {complete}: {newest}"


def _why(state: State, days: Sequence[EventDay], complete: date) -> str:
    """What a state without a verdict comes from."""
    done = [each for each in days if each.day <= complete]
    if state == "outcomes missing":
        last = done[-1] if done else None
        known = f"of {last.named:,} named events of {last.day} {last.labelled:,} have a label" if last else "none came"
        return f": labels are complete up to {complete}, and {known}; look at where they come from"
    if state == "too few labelled rows":
        return f": {sum(each.labelled for each in done):,} up to {complete}, a day is judged from {MIN_ANSWERS} on"
    return f": labels are complete up to {complete}" if state == "outcomes still form" else ""
