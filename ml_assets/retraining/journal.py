"""The retraining journal: what was decided, what the refits found, and which attempts follow from it.

`<model_home>/retraining.jsonl`, hash-chained (`registry.journal`). Two kinds of lines: `decided` (a decision that
differs from the one before it; with `retrain` it begins an attempt) and `refit` (what the cheap refit of an attempt
found). What the gate made of an attempt is in the promotion journal, under the same training set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.registry.promote import promotions
from ml_assets.retraining.facts import Attempt, Decision, Outcome
from ml_assets.retraining.precheck import RefitReport
from ml_assets.storage import journal

DECIDED, REFIT = "decided", "refit"
SAID = ("retrain", "cause", "cause_id", "reason")
"""What makes a decision another one: neither the day nor what changed meanwhile."""


def retraining_journal(settings: Settings, name: str) -> Path:
    """Where the model's retraining journal lies."""
    return settings.model_home(name) / "retraining.jsonl"


def entries(settings: Settings, name: str) -> list[dict[str, Any]]:
    """Every line that reads, oldest first; `problems` says what is wrong with the others."""
    return journal.readable(retraining_journal(settings, name), _told)[0]


def problems(settings: Settings, name: str) -> list[journal.Problem]:
    """What is wrong with the model's retraining journal."""
    return journal.readable(retraining_journal(settings, name), _told)[1]


def _told(line: Mapping[str, Any]) -> None:
    """Take what readers need out of a line; raises when it is not there."""
    texts = [line[name] for name in ("event", "at", "cause_id", "day")]
    date.fromisoformat(line["day"])
    if line["event"] == DECIDED:
        newest, _ = line["newest_decision"], [line[name] for name in SAID]
        date.fromisoformat(newest) if newest else None
    else:
        texts.append(line["training_set"])
    if not all(isinstance(text, str) for text in texts) or not (line["event"] == DECIDED or "helps" in line):
        raise TypeError(f"not a line of a retraining journal: {line}")


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
    before = [entry for entry in entries(settings, spec.name) if entry["event"] == DECIDED][-1:]
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


def attempts(
    settings: Settings, spec: ModelSpec, launched: Callable[[str], bool] = lambda attempt_id: True
) -> tuple[Attempt, ...]:
    """Every attempt that a cause has started, oldest first, with what came of it.

    Args:
        settings: the deployment.
        spec: the model.
        launched: whether a run of an attempt exists: what was decided in a tick that then failed is no attempt.
    """
    begun: dict[str, _Begun] = {}
    for entry in entries(settings, spec.name):
        if entry["event"] == DECIDED and entry["retrain"]:
            begun[entry["attempt_id"]] = _Begun(entry)
        for last in [each for each in begun.values() if each.entry["cause_id"] == entry["cause_id"]][-1:]:
            last.refit = entry if entry["event"] == REFIT else last.refit
    judged = _judged(settings, spec)
    counted = (each for name, each in begun.items() if each.refit is not None or launched(name))
    return tuple(each.attempt(judged) for each in counted)


@dataclass
class _Begun:
    """A decision to train and, once it is there, its refit."""

    entry: Mapping[str, Any]
    refit: Mapping[str, Any] | None = None

    def attempt(self, judged: Mapping[str, list[tuple[str, str]]]) -> Attempt:
        newest, said = self.entry["newest_decision"], self._gate(judged)
        return Attempt(
            cause_id=self.entry["cause_id"],
            day=date.fromisoformat(self.entry["day"]),
            newest_decision=date.fromisoformat(newest) if newest else None,
            outcome=self._outcome(said),
            said=said,
        )

    def _gate(self, judged: Mapping[str, list[tuple[str, str]]]) -> str:
        """What the gate said of what the attempt has trained; empty as long as it has said nothing."""
        if self.refit is None or not self.refit["helps"]:
            return ""
        told = judged.get(self.refit["training_set"], ())
        return next((text for at, text in told if at >= self.refit["at"]), "")

    def _outcome(self, said: str) -> Outcome:
        if self.refit is None:
            return Outcome.STARTED
        if not self.refit["helps"]:
            return Outcome.HELD
        return Outcome.JUDGED if said else Outcome.WENT_ON


def _judged(settings: Settings, spec: ModelSpec) -> dict[str, list[tuple[str, str]]]:
    """Training set -> when (UTC) the gate judged a candidate trained on it, and what it said."""
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in promotions(settings, spec.name):
        if entry["event"] in {"promoted", "kept"} and "training_set" in entry:
            said = (
                "promoted" if entry["event"] == "promoted" else f"the champion stays: {entry.get('reason', 'unknown')}"
            )
            found.setdefault(entry["training_set"], []).append((entry["at"], said))
    return found
