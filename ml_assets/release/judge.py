"""The judgement of a release: from counts to what happens next. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

from ml_assets.config.model_spec import ModelSpec
from ml_assets.registry.release import Release, Stage
from ml_assets.release import evidence
from ml_assets.release.observed import ArmData
from ml_assets.release.plausible import impossible

FALSE_ALARM = 0.0001
"""Chance that a sound challenger is stopped for its split, its failures or its latency, each."""
LATE = 0.01
"""Share of answers that may take longer than the promised 99th percentile."""
UNANSWERED = 5
"""Answers of the champion per wanted shadow answer after which the challenger counts as unable."""
LARGEST = 1e9
"""E-values beyond are not told apart."""

Figures = dict[str, float | int]


class Action(StrEnum):
    """What a look at a release leads to."""

    IDLE = "idle"
    WAITING = "waiting"
    ADVANCED = "advanced"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    HELD = "held"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Verdict:
    """What happens next and why.

    Attributes:
        action: what happens.
        reason: one sentence for people.
        figures: the numbers behind it, all finite.
        blocks: the version is not to be released again without force.
        share: of the next step, when it advances.
    """

    action: Action
    reason: str
    figures: Figures = field(default_factory=dict)
    blocks: bool = False
    share: float | None = None


def judge(spec: ModelSpec, release: Release, seen: ArmData) -> Verdict:
    """Decide about a release by what its traffic shows so far.

    `release.harm` is the chance of rolling back a harmless model: half of it is spent on looking all the time,
    half on the one look at the planned size.
    """
    if release.stage is Stage.SHADOW:
        return replace(_shadow(spec, seen), figures=_shadow_figures(seen))
    harm, imbalance = evidence.harm(seen.drawn), evidence.imbalance(seen.drawn)
    verdict = _broken(spec, seen, imbalance) or _manipulated(seen) or _under_way(spec, release, seen, harm)
    return replace(verdict, figures=_figures(spec, release, seen, harm, imbalance))


def _shadow(spec: ModelSpec, seen: ArmData) -> Verdict:
    wanted, scored, shown = spec.release.shadow_answers, seen.canary, seen.champion.count
    if scored.failed:
        text = f"{scored.failed:,} of {scored.count:,} shadow answers are empty or have scores that are no numbers"
        return Verdict(Action.STOPPED, text, blocks=True)
    if scored.count < wanted and shown >= UNANSWERED * wanted:
        text = f"the challenger scored only {scored.count:,} of {shown:,} requests; the service's log says why"
        return Verdict(Action.STOPPED, text)
    if scored.count < wanted:
        return Verdict(Action.WAITING, f"{scored.count:,} of {wanted:,} shadow answers")
    if _late(seen):
        return Verdict(Action.STOPPED, _lateness(spec, seen), blocks=True)
    share = spec.release.steps[0]
    alike = "" if seen.overlap is None else f" ({seen.overlap:.0%} of the shown products are the champion's)"
    text = f"{scored.count:,} shadow answers without a fault{alike}: now {share:.0%} of the customers see it"
    return Verdict(Action.ADVANCED, text, share=share)


def _broken(spec: ModelSpec, seen: ArmData, imbalance: float) -> Verdict | None:
    """Failures, latency, and a split that is not the planned one: then no comparison says anything."""
    made = seen.canary
    promised = max(spec.serving.max_error_share, seen.champion.failed_share)
    if made.failed and _certain(evidence.excess(made.failed, made.count, promised)):
        text = f"the challenger could not answer {made.failed:,} of {made.count:,} requests"
        return Verdict(Action.STOPPED, text, blocks=True)
    if _late(seen):
        return Verdict(Action.STOPPED, _lateness(spec, seen), blocks=True)
    if _certain(imbalance):
        planned = sum(each.share * (each.canary + each.champion) for each in seen.drawn)
        text = f"sample ratio mismatch: {seen.customers:,} customers of the canary where {planned:,.0f} were planned"
        return Verdict(Action.STOPPED, f"{text}; nothing can be compared until the cause is found")
    return None


def _manipulated(seen: ArmData) -> Verdict | None:
    """Outcomes that cannot be what customers did: they speak neither for nor against the version."""
    why = impossible(seen)
    if why is None:
        return None
    return Verdict(
        Action.HELD, f"forged or broken feedback: {why}; it blocks nothing, find its cause and release again"
    )


def _under_way(spec: ModelSpec, release: Release, seen: ArmData, harm: float) -> Verdict:
    wanted, rates = spec.release, _rates(seen)
    if harm >= math.log(2 / wanted.harm):
        text = f"harm is certain after {seen.customers:,} customers: {rates}"
        return Verdict(Action.ROLLED_BACK, text, blocks=True)
    if seen.customers_of_step < wanted.step_customers:
        done = f"{seen.customers_of_step:,} of the {wanted.step_customers:,} customers of this step"
        return Verdict(Action.WAITING, f"{done} ({release.share:.0%}) judged: {rates}")
    silent = _silent(seen)
    if silent:
        text = f"missing metrics: no outcome for the {silent} has arrived; do outcomes reach the log?"
        return Verdict(Action.STOPPED, text)
    larger = [share for share in wanted.steps if share > release.share]
    if larger:
        text = f"no harm so far ({rates}): from {release.share:.0%} to {larger[0]:.0%} of the customers"
        return Verdict(Action.ADVANCED, text, share=larger[0])
    if seen.customers < wanted.customers:
        return Verdict(Action.WAITING, f"{seen.customers:,} of {wanted.customers:,} customers judged: {rates}")
    return _final(spec, seen)


def _final(spec: ModelSpec, seen: ArmData) -> Verdict:
    """The one look at the planned size."""
    wanted = spec.release
    found = evidence.ratio(seen.drawn, wanted.confidence)
    text = f"{seen.customers:,} customers judged: {_rates(seen)}"
    if found:
        text += f"; the ratio is at least {found.low:.3f} at {wanted.confidence:.0%}"
    if evidence.fewer_clicks(seen.drawn) < wanted.harm / 2:
        return Verdict(Action.ROLLED_BACK, f"harm at the planned size, {text}", blocks=True)
    if found and found.low > 1 - wanted.margin:
        return Verdict(Action.PROMOTED, f"no worse than {1 - wanted.margin:g} of the champion, {text}")
    return Verdict(Action.HELD, f"not shown to be no worse than {1 - wanted.margin:g} of it, {text}", blocks=True)


def _silent(seen: ArmData) -> str:
    """The arms without any click."""
    canary = any(each.canary_clicked for each in seen.drawn)
    champion = any(each.champion_clicked for each in seen.drawn)
    return " and the ".join(name for name, heard in (("challenger", canary), ("champion", champion)) if not heard)


def _certain(found: float) -> bool:
    return found > math.log(1 / FALSE_ALARM)


def _late(seen: ArmData) -> bool:
    made, usual = seen.canary, max(LATE, seen.champion.slow_share)
    return made.slow > usual * made.count and _certain(evidence.excess(made.slow, made.count, usual))


def _lateness(spec: ModelSpec, seen: ArmData) -> str:
    return (
        f"{seen.canary.slow:,} of {seen.canary.count:,} answers of the challenger took longer than the promised "
        f"{spec.serving.p99_ms:g} ms; {seen.champion.slow:,} of {seen.champion.count:,} of the champion's did"
    )


def _click_rates(seen: ArmData) -> tuple[float, float]:
    """Share of the customers who clicked: the canary's, the champion's."""
    canary, champion = seen.customers, sum(each.champion for each in seen.drawn)
    clicked = sum(each.canary_clicked for each in seen.drawn), sum(each.champion_clicked for each in seen.drawn)
    return clicked[0] / max(canary, 1), clicked[1] / max(champion, 1)


def _rates(seen: ArmData) -> str:
    canary, champion = _click_rates(seen)
    return f"click rate {canary:.1%}, champion {champion:.1%}"


def _shadow_figures(seen: ArmData) -> Figures:
    figures: Figures = {
        "shadow_answers": seen.canary.count,
        "champion_answers": seen.champion.count,
        "useless_answers": seen.canary.failed,
        "late_share": round(seen.canary.slow_share, 5),
    }
    return figures if seen.overlap is None else {**figures, "overlap": round(seen.overlap, 4)}


def _figures(spec: ModelSpec, release: Release, seen: ArmData, harm: float, imbalance: float) -> Figures:
    found = evidence.ratio(seen.drawn, spec.release.confidence)
    canary, champion = _click_rates(seen)
    figures: Figures = {
        "share": release.share,
        "customers": seen.customers,
        "champion_customers": sum(each.champion for each in seen.drawn),
        "click_rate": round(canary, 5),
        "champion_click_rate": round(champion, 5),
        "evidence_of_harm": _e_value(harm),
        "evidence_of_imbalance": _e_value(imbalance),
        "answers": seen.canary.count,
        "failed_answers": seen.canary.failed,
        "late_answers": seen.canary.slow,
        "clicked_share": round(seen.feedback.canary.rate, 5),
        "champion_clicked_share": round(seen.feedback.champion.rate, 5),
        "clicked_share_before": round(seen.feedback.before.rate, 5),
        "stray_customers": seen.feedback.strays,
    }
    if found:
        figures |= {
            "ratio": round(found.value, 4),
            "ratio_low": round(found.low, 4),
            "ratio_high": round(found.high, 4),
        }
    return figures


def _e_value(log: float) -> float:
    return float(f"{math.exp(min(log, math.log(LARGEST))):.3g}")
