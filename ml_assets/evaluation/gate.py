"""The champion gate: pure arithmetic on an evaluation, and a reason a person can read.

An evaluation is decided once, when it is made, and keeps its decision: whoever wants to know it asks `decision_of`.
"""

from __future__ import annotations

from ml_assets.config.model_spec import GateSpec
from ml_assets.datasets.split import Part
from ml_assets.evaluation.result import CHAMPION, Check, EvaluationResult, Gain, GateDecision, PartResult

LATE = "decided now: the evaluation is from before decisions were stored"
"""How the reason of a decision ends that its evaluation does not have."""


def decide(evaluation: EvaluationResult, gate: GateSpec) -> GateDecision:
    """Judge the candidate on the test part alone, against the champion (at first: the best baseline).

    It is promoted when its mean gain reaches the margin, the paired interval of the gain lies above zero, no slice with
    enough customers loses more than the tolerance, and no baseline does better: a champion that had to do without some
    of its features is easily beaten, and the reason says so. The holdout is reported, never judged.

    Raises:
        KeyError: when the evaluation has no test part or not the gate's metric.
    """
    if evaluation.already_champion:
        return _decision(evaluation, False, "already champion", (), None)
    test = evaluation.parts[Part.TEST.value]
    gain = test.gains[evaluation.reference][gate.metric]
    checks = (
        _margin(gain, gate),
        _interval(gain, gate),
        _slices(test, evaluation.reference, gate),
        *_baseline(test, evaluation.reference, gate),
    )
    failed = [check for check in checks if check.ok is False]
    promote = not failed
    against = f"champion {evaluation.champion}" if evaluation.reference == CHAMPION else evaluation.reference
    said = "; ".join(check.detail for check in (failed or checks))
    verdict = "beats" if promote else "does not displace"
    lacking = f"; {evaluation.lacking}" if evaluation.lacking else ""
    return _decision(evaluation, promote, f"{verdict} {against}: {said}{lacking}", checks, gain)


def decision_of(evaluation: EvaluationResult, gate: GateSpec) -> GateDecision:
    """What was decided when the evaluation was made, whatever the gate is by now.

    An evaluation from before decisions were stored is decided by `gate` now, and the reason says so.

    Raises:
        KeyError: when it has to be decided, and has no test part or not the gate's metric.
    """
    if evaluation.decision is not None:
        return evaluation.decision
    decision = decide(evaluation, gate)
    return decision.model_copy(update={"reason": f"{decision.reason}; {LATE}"})


def _margin(gain: Gain, gate: GateSpec) -> Check:
    ok = gain.gain is not None and gain.gain >= gate.margin
    return Check(
        name="margin",
        ok=ok,
        detail=f"{gate.metric} gain {_signed(gain.gain)}, at least {_signed(gate.margin)} asked",
    )


def _interval(gain: Gain, gate: GateSpec) -> Check:
    ok = gain.low is not None and gain.low > 0
    clear = "clear of zero" if ok else "not clear of zero"
    return Check(
        name="interval",
        ok=ok,
        detail=f"{gate.confidence:.0%} interval [{_signed(gain.low)}, {_signed(gain.high)}] {clear}",
    )


def _slices(test: PartResult, reference: str, gate: GateSpec) -> Check:
    judged = [one for one in test.slices if one.customers >= gate.slice_min_customers]
    if not judged:
        why = (
            f"none of {len(test.slices)} has {gate.slice_min_customers} customers" if test.slices else "there are none"
        )
        return Check(name="slices", ok=None, detail=f"slices not judged: {why}")
    lost = [
        f"{one.column}={one.value} {_signed(value)}"
        for one in judged
        if (value := one.gains[reference].gain) is not None and value < -gate.slice_tolerance
    ]
    if lost:
        detail = f"slices beyond the tolerance of {gate.slice_tolerance:.4f}: {', '.join(lost)}"
    else:
        detail = f"none of {len(judged)} slices loses more than {gate.slice_tolerance:.4f}"
    return Check(name="slices", ok=not lost, detail=detail)


def _baseline(test: PartResult, reference: str, gate: GateSpec) -> tuple[Check, ...]:
    """That no baseline does better on the same rows, where the gate compares with a champion."""
    gains = {
        name: gained.gain
        for name, metrics in test.gains.items()
        if name != CHAMPION and (gained := metrics.get(gate.metric)) and gained.gain is not None
    }
    if not gains or reference != CHAMPION:
        return ()
    best = min(gains, key=lambda name: gains[name] or 0.0)
    gain = gains[best]
    detail = f"{gate.metric} gain {_signed(gain)} over {best}, the best baseline"
    return (Check(name="baseline", ok=gain is not None and gain >= 0, detail=detail),)


def _decision(
    evaluation: EvaluationResult, promote: bool, reason: str, checks: tuple[Check, ...], gain: Gain | None
) -> GateDecision:
    return GateDecision(
        candidate=evaluation.version,
        champion=evaluation.champion,
        reference=evaluation.reference,
        promote=promote,
        reason=reason,
        checks=checks,
        gain=gain,
    )


def _signed(value: float | None) -> str:
    return "undefined" if value is None else f"{value:+.4f}"
