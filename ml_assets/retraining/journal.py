"""The retraining journal: what was decided, what the refits found, and which attempts follow from it.

`<model_home>/retraining.jsonl`, hash-chained (`registry.journal`). Two kinds of lines: `decided` (a decision that
differs from the one before it; with `retrain` it begins an attempt) and `refit` (what the cheap refit of an attempt
found). What the gate made of an attempt is in the promotion journal, under the same training set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ml_assets.learning.spec import ModelSpec
from ml_assets.registry import journal
from ml_assets.registry.promote import promotion_journal
from ml_assets.retraining.facts import Attempt, Decision, Outcome
from ml_assets.retraining.refit import RefitReport
from ml_assets.settings import Settings

DECIDED, REFIT = "decided", "refit"
SAID = ("retrain", "cause", "cause_id", "reason")
"""What makes a decision another one: neither the day nor what changed meanwhile."""


def retraining_journal(settings: Settings, name: str) -> Path:
    """Where the model's retraining journal lies."""
    return settings.model_home(name) / "retraining.jsonl"


def record(
    settings: Settings, spec: ModelSpec, decision: Decision, extra: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """Append the decision, unless it says what the last recorded one said; a decision to train always counts.

    Args:
        settings: the deployment.
        spec: the model.
        decision: as of `decide`.
        extra: more fields for the line.

    Returns:
        The entry as written, or None when nothing new was said.
    """
    path = retraining_journal(settings, spec.name)
    said = {name: str(value) if isinstance(value, date) else value for name, value in asdict(decision).items()}
    before = [entry for entry in journal.read(path) if entry["event"] == DECIDED][-1:]
    if before and not decision.retrain and all(before[0][name] == said[name] for name in SAID):
        return None
    return journal.append(path, {"event": DECIDED, **said, **(extra or {})})


def record_refit(
    settings: Settings, spec: ModelSpec, report: RefitReport, *, cause: str, cause_id: str, training_set: str, day: date
) -> dict[str, Any]:
    """Append what the refit of an attempt found."""
    said = {"cause": cause, "cause_id": cause_id, "day": str(day), "training_set": training_set}
    entry = {"event": REFIT, **said, **report.model_dump(mode="json")}
    return journal.append(retraining_journal(settings, spec.name), entry)


def attempts(settings: Settings, spec: ModelSpec) -> tuple[Attempt, ...]:
    """Every attempt that a cause has started, oldest first, with what came of it."""
    begun: list[_Begun] = []
    for entry in journal.read(retraining_journal(settings, spec.name)):
        if entry["event"] == DECIDED and entry["retrain"]:
            begun.append(_Begun(entry))
        for last in [each for each in begun if each.entry["cause_id"] == entry["cause_id"]][-1:]:
            last.refit = entry if entry["event"] == REFIT else last.refit
    judged = _judged(settings, spec)
    return tuple(each.attempt(judged) for each in begun)


@dataclass
class _Begun:
    """A decision to train and, once it is there, its refit."""

    entry: Mapping[str, Any]
    refit: Mapping[str, Any] | None = None

    def attempt(self, judged: Mapping[str, list[str]]) -> Attempt:
        newest = self.entry["newest_decision"]
        return Attempt(
            cause_id=self.entry["cause_id"],
            day=date.fromisoformat(self.entry["day"]),
            newest_decision=date.fromisoformat(newest) if newest else None,
            outcome=self._outcome(judged),
        )

    def _outcome(self, judged: Mapping[str, list[str]]) -> Outcome:
        if self.refit is None:
            return Outcome.STARTED
        if not self.refit["helps"]:
            return Outcome.HELD
        since = any(at >= self.refit["at"] for at in judged.get(self.refit["training_set"], ()))
        return Outcome.JUDGED if since else Outcome.WENT_ON


def _judged(settings: Settings, spec: ModelSpec) -> dict[str, list[str]]:
    """Training set -> when (UTC) the gate judged a candidate trained on it."""
    found: dict[str, list[str]] = {}
    for entry in journal.read(promotion_journal(settings, spec.name)):
        if entry["event"] in {"promoted", "kept"} and "training_set" in entry:
            found.setdefault(entry["training_set"], []).append(entry["at"])
    return found
