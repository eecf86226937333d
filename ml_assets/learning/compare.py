"""The champion gate: pure arithmetic on an evaluation, and a reason a person can read."""

from __future__ import annotations

from ml_assets.learning.evaluation import CHAMPION, EvaluationResult, Frozen, Gain, PartResult
from ml_assets.learning.spec import GateSpec
from ml_assets.learning.split import Part


class Check(Frozen):
    """One condition of the gate."""

    name: str
    ok: bool
    detail: str


class GateDecision(Frozen):
    """Whether the candidate becomes champion, against whom it was judged, and why."""

    candidate: str
    champion: str | None
    reference: str
    promote: bool
    reason: str
    checks: tuple[Check, ...]
    gain: Gain | None = None


def decide(evaluation: EvaluationResult, gate: GateSpec) -> GateDecision:
    """Judge the candidate on the test part alone, against the champion (at first: the best baseline).

    It is promoted when its mean gain reaches the margin, the paired interval of the gain lies above zero, and
    no slice with enough customers loses more than the tolerance. The holdout is reported, never judged.

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
    )
    failed = [check for check in checks if not check.ok]
    promote = not failed
    against = f"champion {evaluation.champion}" if evaluation.reference == CHAMPION else evaluation.reference
    said = "; ".join(check.detail for check in (failed or checks))
    verdict = "beats" if promote else "does not displace"
    return _decision(evaluation, promote, f"{verdict} {against}: {said}", checks, gain)


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
