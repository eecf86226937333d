from __future__ import annotations

from datetime import date

import pytest

from ml_assets.config.model_spec import GateSpec
from ml_assets.evaluation.gate import decide
from ml_assets.evaluation.result import WITHOUT, EvaluationResult, Gain, PartResult, SliceResult

GATE = GateSpec(margin=0.01, slice_tolerance=0.02, slice_min_customers=50)


def gain(value: float | None, low: float | None = None, high: float | None = None) -> Gain:
    return Gain(gain=value, low=low, high=high, customers=100, groups=200)


def judged(overall: Gain, slices: list[tuple[float, int]], reference: str, champion: str | None) -> EvaluationResult:
    part = PartResult(
        decisions=(date(2011, 11, 14),),
        customers=100,
        groups=200,
        relevant=300,
        ceiling=0.7,
        values={"candidate": {"ndcg_10": 0.3}, reference: {"ndcg_10": 0.2}},
        gains={reference: {"ndcg_10": overall}},
        by_decision={"candidate": (0.3,), reference: (0.2,)},
        slices=tuple(
            SliceResult(
                column="country",
                value=f"v{at}",
                customers=customers,
                groups=customers,
                values={},
                gains={reference: gain(value)},
            )
            for at, (value, customers) in enumerate(slices)
        ),
    )
    return EvaluationResult(
        model="recommender",
        version="new",
        run_id="r",
        training_set="t",
        champion=champion,
        reference=reference,
        metric="ndcg_10",
        confidence=0.95,
        parts={"test": part},
    )


@pytest.mark.parametrize(
    ("overall", "slices", "promote", "said"),
    [
        (gain(0.05, 0.03, 0.07), [(0.04, 80)], True, "beats"),
        (gain(0.05, 0.03, 0.07), [(-0.019, 80)], True, "none of 1 slices"),
        (gain(0.05, 0.03, 0.07), [(-0.021, 80)], False, "country=v0 -0.0210"),
        (gain(0.05, 0.03, 0.07), [(-0.5, 49)], True, "slices not judged: none of 1 has 50 customers"),
        (gain(0.009, 0.001, 0.02), [], False, "at least +0.0100"),
        (gain(0.05, 0.0, 0.07), [], False, "not clear of zero"),
        (gain(0.05, -0.01, 0.11), [], False, "not clear of zero"),
        (gain(-0.05, -0.07, -0.03), [], False, "gain -0.0500"),
        (gain(float("nan"), float("nan"), float("nan")), [], False, "undefined"),
    ],
)
def test_truth_table(overall: Gain, slices: list[tuple[float, int]], promote: bool, said: str):
    decision = decide(judged(overall, slices, "ease", None), GATE)
    assert decision.promote is promote
    assert said in decision.reason
    assert [check.name for check in decision.checks] == ["margin", "interval", "slices"]


def test_the_champion_itself_changes_nothing():
    decision = decide(judged(gain(0.5, 0.4, 0.6), [], "ease", "new"), GATE)
    assert (decision.promote, decision.reason, decision.checks) == (False, "already champion", ())


def test_a_champion_is_named_in_the_reason():
    assert "champion old" in decide(judged(gain(0.05, 0.03, 0.07), [], "champion", "old"), GATE).reason


def test_an_evaluation_survives_its_json():
    result = judged(gain(float("nan")), [(0.1, 60)], "ease", None)
    assert EvaluationResult.model_validate_json(result.model_dump_json()) == result
    assert result.parts["test"].gains["ease"]["ndcg_10"].gain is None


def with_baseline(value: float, notes: tuple[str, ...] = ()) -> EvaluationResult:
    """A candidate that beats the champion clearly, and is so far ahead of a baseline."""
    result = judged(gain(0.17, 0.16, 0.19), [], "champion", "old")
    part = result.parts["test"]
    gains = {**part.gains, "linear": {"ndcg_10": gain(value)}}
    return result.model_copy(update={"parts": {"test": part.model_copy(update={"gains": gains})}, "notes": notes})


def test_who_is_behind_a_baseline_is_not_promoted_whomever_it_beats():
    refused, passed = decide(with_baseline(-0.0105), GATE), decide(with_baseline(0.0), GATE)
    assert (refused.promote, passed.promote) == (False, True)
    assert "gain -0.0105 over linear, the best baseline" in refused.reason


def test_a_champion_without_its_features_is_said_in_the_reason():
    note = f"{WITHOUT}: request__weight_kg"
    assert note in decide(with_baseline(0.1, (note,)), GATE).reason
    assert WITHOUT not in decide(with_baseline(0.1), GATE).reason
