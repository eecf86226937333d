"""Which days are judged and with which they are compared: shared by what is told of clicks and of labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.monitoring.quality.loss import MIN_ANSWERS, DayMean, Loss, judge, judge_day
from ml_assets.monitoring.reports import Report, report_path

QUALITY = "quality"

RECENT_DAYS = 7
"""Days before the newest complete one that judged days may lie back: what is older is no news."""


class Quality(Report):
    """What is known about a model's quality on a day, however it is measured.

    `mature` when the outcomes of `day` count as complete; `version` is the champion's; `window_from` the first day of
    what is measured beside the day.
    """

    model: str
    day: date
    state: str
    loss: bool
    text: str
    mature: bool
    version: str | None
    window_from: date
    verdict: Loss | None

    @property
    def passed(self) -> bool | None:
        """Whether nobody has to look: no loss, and outcomes arrive; None when nothing could be judged."""
        if self.loss or self.state == "outcomes missing":
            return False
        return True if self.state == "judged" else None

    @property
    def weight(self) -> float:
        """How bad the day is beside others."""
        return self.verdict.share if self.verdict else 1.0


def newest_days(days: Sequence[DayMean], complete: date, windows: int) -> list[DayMean]:
    """The newest complete days with answers enough, ascending."""
    done = [each for each in days if each.day <= complete and each.moments.n >= MIN_ANSWERS]
    return [each for each in done if each.day > complete - timedelta(days=RECENT_DAYS)][-windows:]


def lossy_days(settings: Settings, model: str, days: Sequence[DayMean]) -> set[date]:
    """Days that were worse in a loss found before: what was lost is nothing to expect of the days after it."""
    paths = (report_path(settings, model, QUALITY, each.day) for each in days)
    reports = [json.loads(path.read_text()) for path in paths if path.exists()]
    verdicts = [report["verdict"] for report in reports if report.get("loss")]
    return {date.fromisoformat(each["day"]) for verdict in verdicts for each in verdict["days"] if each["worse"]}


def judge_newest(
    spec: ModelSpec,
    newest: Sequence[DayMean],
    days: Sequence[DayMean],
    lossy: set[date],
    *,
    otherwise: Callable[[DayMean, Sequence[DayMean]], Sequence[DayMean]],
    clicks: bool,
) -> Loss | None:
    """Judge days against days before them, of the same version; None when there are too few to compare with.

    Lossy days are no reference while there are others, so a loss lasts until what was lost is back, or the days from
    before it are too old.

    Args:
        spec: the model; `monitoring` says how many days and what a loss is.
        newest: the days that are judged, ascending, at least one.
        days: the version's or the champion's days, those with too few answers too.
        lossy: days that were worse in a loss.
        otherwise: what a day is compared with, of the days before or elsewhere, when its version has too few.
        clicks: means are rates of clicks; else skills.
    """
    drift, told = spec.monitoring.drift, spec.monitoring.quality
    oldest = newest[0].day - timedelta(days=drift.reference_days)
    before = [each for each in days if oldest <= each.day < newest[0].day and each.moments.n >= MIN_ANSWERS]
    judged = []
    for each in newest:
        own = [other for other in before if other.version == each.version]
        usual = [other for other in own if other.day not in lossy]
        chosen = (usual, own, otherwise(each, before))
        found = next((some for some in chosen if len(some) >= drift.min_reference_days), None)
        if found is not None:
            judged.append(judge_day(each, found, clicks=clicks, least=0.0 if clicks else told.loss))
    if not judged:
        return None
    return judge(judged, loss=told.loss, confidence=told.confidence, windows=drift.windows, needed=drift.needed)
