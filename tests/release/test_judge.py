"""The judgement by counts: each rule, and which one counts first."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_traffic import small_spec

from ml_assets.registry.release import Release, Stage
from ml_assets.release import Action, judge
from ml_assets.release.observed import Answers, ArmData, Drawn

SPEC = small_spec(steps=(0.2, 0.5), step_customers=100, customers=400, margin=0.1)
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def release(share: float) -> Release:
    return Release(
        release_id="r", model_name="ranker", champion_version="a", model_version="b", model_path=Path("/b"),
        model_sha256="0" * 64, stage=Stage.CANARY if share else Stage.SHADOW, share=share, started_at=NOW,
        changed_at=NOW,
    )  # fmt: skip


def canary(*drawn: tuple[int, int, int, int, int], **changes: Any) -> ArmData:
    """Counts per step: canary, champion, and how many of them clicked; the share is that of the step."""
    rows = tuple(Drawn(SPEC.release.steps[step - 1], *counts, step, 0) for step, *counts in drawn)
    return ArmData(**{"canary": Answers(500), "champion": Answers(1500), "drawn": rows, "step": len(rows), **changes})


FIRST = (1, 100, 400, 30, 120)


def test_a_step_waits_for_its_customers_then_advances():
    waiting = judge(SPEC, release(0.2), canary((1, 99, 396, 30, 120)))
    assert waiting.action is Action.WAITING
    assert "99 of the 100 customers of this step" in waiting.reason
    advanced = judge(SPEC, release(0.2), canary(FIRST))
    assert (advanced.action, advanced.share) == (Action.ADVANCED, 0.5)
    assert judge(SPEC, release(0.5), canary(FIRST, (2, 99, 99, 30, 30))).action is Action.WAITING
    assert judge(SPEC, release(0.5), canary(FIRST, (2, 299, 299, 90, 90))).action is Action.WAITING


def test_at_the_planned_size_it_is_promoted_held_or_rolled_back():
    def end(clicked: int, champion: int) -> Action:
        return judge(SPEC, release(0.5), canary(FIRST, (2, 300, 300, clicked, champion))).action

    assert end(130, 100) is Action.PROMOTED
    assert end(95, 95) is Action.HELD
    assert end(75, 115) is Action.ROLLED_BACK  # not certain by the look at any time, but by the one that was planned
    held = judge(SPEC, release(0.5), canary(FIRST, (2, 300, 300, 95, 95)))
    assert held.blocks
    assert held.figures["ratio"] == pytest.approx(1.0, abs=0.01)
    assert 0 < held.figures["ratio_low"] < 0.9 < held.figures["ratio_high"]


def test_certain_harm_is_rolled_back_at_once():
    verdict = judge(SPEC, release(0.2), canary((1, 60, 240, 2, 120)))
    assert (verdict.action, verdict.blocks) == (Action.ROLLED_BACK, True)
    assert "after 60 customers: click rate 3.3%, champion 50.0%" in verdict.reason
    assert verdict.figures["evidence_of_harm"] >= 2 / SPEC.release.harm


def test_harm_is_certain_at_half_the_chance_that_may_be_spent_on_it():
    found = {clicked: judge(SPEC, release(0.2), canary((1, 60, 240, clicked, 100))) for clicked in range(60)}
    for verdict in found.values():
        certain = verdict.figures["evidence_of_harm"] >= 2 / SPEC.release.harm
        assert verdict.action is (Action.ROLLED_BACK if certain else Action.WAITING)
    assert found[7].action is not found[8].action


def test_a_broken_split_stops_and_does_not_blame_the_version():
    verdict = judge(SPEC, release(0.2), canary((1, 100, 200, 10, 60)))
    assert (verdict.action, verdict.blocks) == (Action.STOPPED, False)
    assert "sample ratio mismatch: 100 customers of the canary where 60 were planned" in verdict.reason


@pytest.mark.parametrize("clicked", [(0, 0), (5, 0), (0, 3)])
def test_a_step_without_any_outcome_of_an_arm_stops(clicked: tuple[int, int]):
    verdict = judge(SPEC, release(0.2), canary((1, 100, 400, *clicked)))
    assert (verdict.action, verdict.blocks) == (Action.STOPPED, False)
    assert "missing metrics" in verdict.reason
    assert ("challenger" in verdict.reason, "champion" in verdict.reason) == (not clicked[0], not clicked[1])


def test_failures_and_latency_beyond_the_promise_stop_unless_the_champion_has_them_too():
    failing = Answers(50, failed=5)
    assert judge(SPEC, release(0.2), canary((1, 9, 36, 3, 9), canary=failing)).action is Action.STOPPED
    both = canary((1, 9, 36, 3, 9), canary=failing, champion=Answers(200, failed=20))
    assert judge(SPEC, release(0.2), both).action is Action.WAITING
    late = judge(SPEC, release(0.2), canary((1, 9, 36, 3, 9), canary=Answers(100, slow=20)))
    assert (late.action, late.blocks) == (Action.STOPPED, True)
    assert "20 of 100 answers of the challenger took longer than the promised 100 ms" in late.reason
    both = canary((1, 9, 36, 3, 9), canary=Answers(100, slow=20), champion=Answers(400, slow=90))
    assert judge(SPEC, release(0.2), both).action is Action.WAITING


@pytest.mark.parametrize(
    ("scored", "shown", "action", "said"),
    [
        (Answers(4), 9, Action.WAITING, "4 of 5 shadow answers"),
        (Answers(5), 9, Action.ADVANCED, "40% of the shown products are the champion's"),
        (Answers(3, failed=1), 9, Action.STOPPED, "1 of 3 shadow answers are empty"),
        (Answers(50, slow=9), 50, Action.STOPPED, "took longer"),
        (Answers(0), 25, Action.STOPPED, "scored only 0 of 25 requests"),
    ],
)
def test_a_shadow_is_judged_by_its_answers(scored: Answers, shown: int, action: Action, said: str):
    verdict = judge(SPEC, release(0.0), ArmData(scored, Answers(shown), overlap=0.4))
    assert verdict.action is action
    assert said in verdict.reason
    assert verdict.share == (0.2 if action is Action.ADVANCED else None)
    assert verdict.figures["overlap"] == 0.4


counts = st.integers(0, 400)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(counts, counts, st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=2),
    answers=st.integers(0, 100),
    failed=st.floats(0, 1),
)
def test_whatever_is_counted_there_is_a_verdict_with_finite_figures(
    rows: list[tuple[int, int, float, float]], answers: int, failed: float
):
    drawn = [(n + 1, one, two, int(one * p), int(two * q)) for n, (one, two, p, q) in enumerate(rows)]
    seen = canary(*drawn, canary=Answers(answers, failed=int(answers * failed)))
    verdict = judge(SPEC, release(SPEC.release.steps[len(rows) - 1]), seen)
    assert all(math.isfinite(figure) for figure in verdict.figures.values())
    if verdict.action is Action.PROMOTED:
        assert verdict.figures["ratio_low"] > 0.9
        assert seen.customers >= SPEC.release.customers
    assert (verdict.share is not None) == (verdict.action is Action.ADVANCED)
