"""Made-up facts about a model, its calendar and what was tried, for the tests of the decision."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from ml_assets.config.model_spec import ModelSpec, RetrainingSpec
from ml_assets.retraining import decide
from ml_assets.retraining.facts import Alarm, Attempt, Calendar, Facts, Outcome, Trained

TODAY = date(2026, 6, 30)
CHAMPION = Trained("v1", date(2026, 5, 11), date(2026, 5, 17))
CALENDAR = Calendar(newest=date(2026, 6, 22), every_days=7, fresh=date(2026, 6, 15), judged=date(2026, 5, 18))
YOUNG = Trained("v2", date(2026, 6, 15), date(2026, 6, 21))


def model(**rules) -> ModelSpec:
    defaults = {"max_age_days": 60, "cooldown_days": 2, "daily_budget": 2}
    return ModelSpec(
        name="m",
        description="d",
        spine="s",
        feature_service="f",
        retraining=RetrainingSpec.model_validate({**defaults, **rules}),
    )


def facts(**more) -> Facts:
    return replace(Facts(today=TODAY, champion=CHAMPION, calendar=CALENDAR), **more)


def days(low: int, high: int) -> st.SearchStrategy[date]:
    return st.integers(low, high).map(lambda back: TODAY - timedelta(days=back))


alarms = st.none() | st.builds(Alarm, since=days(0, 60), what=st.just("prices"))
FREE: dict[str, Any] = {"failed_data_checks": (), "in_flight": False, "releasing": False}
OBSTACLES: list[dict[str, Any]] = [
    {"failed_data_checks": ("events: nothing_lost: 3 rows",)},
    {"in_flight": True},
    {"releasing": True},
]


@st.composite
def any_facts(draw: st.DrawFn, spec: ModelSpec) -> Facts:
    newest = TODAY - timedelta(days=draw(st.integers(7, 13)))
    fresh = draw(st.none() | st.just(newest - timedelta(days=7)))
    judged = draw(st.none() | st.just(newest - timedelta(days=35)))
    learned = TODAY - timedelta(days=draw(st.integers(14, 120)))
    found = Facts(
        today=TODAY,
        champion=draw(st.none() | st.just(Trained("v", learned, learned + timedelta(days=6)))),
        calendar=draw(st.none() | st.just(Calendar(newest, 7, fresh, judged))),
        drift=draw(alarms),
        loss=draw(alarms),
        code=draw(st.sampled_from([(), ("feat_customer.sql",)])),
        code_id="c1",
    )
    found = replace(found, **draw(st.sampled_from([{}, {}, {}, *OBSTACLES])))
    # attempts for the very causes these facts can have, so that they matter
    causes = ["other"]
    for each in (replace(found, drift=None, loss=None), replace(found, loss=None), found):
        said = decide(spec, replace(each, **FREE), scheduled=draw(st.booleans()))
        causes.append(said.cause_id)
    attempts = st.builds(
        Attempt,
        cause_id=st.sampled_from(causes),
        day=days(0, 5),
        newest_decision=st.none() | st.sampled_from([newest, newest - timedelta(days=7)]),
        outcome=st.sampled_from(Outcome),
    )
    tried = sorted(draw(st.lists(attempts, max_size=4)), key=lambda attempt: attempt.day)
    return replace(found, attempts=tuple(tried))


SPEC = model()
