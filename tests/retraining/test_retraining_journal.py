from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.journals import damages
from ml_assets.registry.promote import promotion_journal
from ml_assets.retraining.facts import Cause, Decision, Outcome
from ml_assets.retraining.journal import attempts, record, record_refit, retraining_journal
from ml_assets.retraining.precheck import RefitReport
from ml_assets.storage import journal

DAY = date(2026, 6, 30)
HOLD = Decision(False, Cause.DRIFT, "drift; held back: labels", DAY, cause_id="d1", newest_decision=date(2026, 6, 22))
GO = replace(HOLD, retrain=True, reason="drift", attempt_id="d1-1")


def found(helps: bool) -> RefitReport:
    return RefitReport(metric="ndcg_10", helps=helps, reason="said")


def note(settings: Settings, spec: ModelSpec, helps: bool, cause_id: str = "d1") -> None:
    record_refit(settings, spec, found(helps), cause="drift", cause_id=cause_id, training_set="t1", day=DAY)


def outcomes(settings: Settings, spec: ModelSpec) -> list[Outcome]:
    return [attempt.outcome for attempt in attempts(settings, spec)]


def test_a_decision_is_noted_once_however_often_it_is_taken(settings: Settings, spec: ModelSpec):
    assert record(settings, spec, HOLD) is not None
    for ahead in range(3):
        tomorrow = replace(HOLD, day=DAY + timedelta(days=ahead), changes="data new")
        assert record(settings, spec, tomorrow) is None
    record(settings, spec, replace(HOLD, reason="drift; held back: the budget"), {"run": "r1"})
    entries = journal.read(retraining_journal(settings, spec.name))
    assert [entry["reason"].split(": ")[1] for entry in entries] == ["labels", "the budget"]
    assert entries[1]["run"] == "r1"
    assert entries[0]["day"] == "2026-06-30"


@hypothesis.settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["hold", "go", "other"]), max_size=6))
def test_every_decision_to_train_is_an_attempt_and_nothing_else_is(steps: list[str]):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), shop="simulated")
        spec = ModelSpec(name="m", description="d", spine="s", feature_service="f")
        for number, step in enumerate(steps):
            go = replace(GO, attempt_id=f"d1-{number}")
            record(settings, spec, {"hold": HOLD, "go": go, "other": replace(HOLD, reason="else")}[step])
        assert len(attempts(settings, spec)) == steps.count("go")
        entries = journal.read(retraining_journal(settings, spec.name))
        said = [(entry["retrain"], entry["reason"]) for entry in entries]
        assert all(one != other or one[0] for one, other in pairwise(said))


def test_an_attempt_goes_from_started_to_judged(settings: Settings, spec: ModelSpec):
    record(settings, spec, GO)
    assert attempts(settings, spec)[0].day == DAY
    assert attempts(settings, spec)[0].newest_decision == date(2026, 6, 22)
    assert outcomes(settings, spec) == [Outcome.STARTED]
    note(settings, spec, helps=True, cause_id="another")
    assert outcomes(settings, spec) == [Outcome.STARTED]
    note(settings, spec, helps=True)
    assert outcomes(settings, spec) == [Outcome.WENT_ON]
    gate = promotion_journal(settings, spec.name)
    journal.append(gate, {"event": "kept", "training_set": "t2"})
    assert outcomes(settings, spec) == [Outcome.WENT_ON]
    journal.append(gate, {"event": "kept", "training_set": "t1", "reason": "gain not clear of zero"})
    assert outcomes(settings, spec) == [Outcome.JUDGED]
    assert attempts(settings, spec)[0].said == "the champion stays: gain not clear of zero"


def test_a_held_attempt_does_not_take_an_older_judgement_for_its_own(settings: Settings, spec: ModelSpec):
    journal.append(promotion_journal(settings, spec.name), {"event": "promoted", "training_set": "t1"})
    record(settings, spec, GO)
    note(settings, spec, helps=False)
    assert outcomes(settings, spec) == [Outcome.HELD]
    record(settings, spec, replace(GO, attempt_id="d1-2"))
    assert outcomes(settings, spec) == [Outcome.HELD, Outcome.STARTED]


def test_an_altered_journal_is_told_and_stands_in_nobodys_way(settings: Settings, spec: ModelSpec):
    record(settings, spec, GO)
    record(settings, spec, HOLD)
    path = retraining_journal(settings, spec.name)
    path.write_text(path.read_text().replace("2026-06-30", "2026-06-29", 1))
    assert outcomes(settings, spec) == [Outcome.STARTED]
    [told] = damages(settings, spec.name)
    assert f"{path}, line 1: it was altered" in told
    path.write_text(path.read_text().replace('"cause_id"', '"cause-id"', 1))
    assert outcomes(settings, spec) == []
    record(settings, spec, GO)
    assert outcomes(settings, spec) == [Outcome.STARTED]
    with pytest.raises(journal.BrokenJournalError, match="line 1"):
        journal.read(path)


def test_an_attempt_counts_once_its_run_exists(settings: Settings, spec: ModelSpec):
    """A tick that failed after it had decided has launched nothing: the budget is not spent."""
    record(settings, spec, GO)
    assert attempts(settings, spec, launched=lambda attempt_id: False) == ()
    record(settings, spec, GO)
    assert len(attempts(settings, spec, launched=lambda attempt_id: attempt_id == "d1-1")) == 1
    note(settings, spec, helps=False)
    assert len(attempts(settings, spec, launched=lambda attempt_id: False)) == 1, "its refit says that it ran"
