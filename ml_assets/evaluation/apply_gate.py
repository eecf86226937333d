"""The gate as one step: read the evaluation, decide, promote or keep, and say who is champion now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.evaluation.evaluate import RESULT
from ml_assets.evaluation.gate import GateDecision, decide
from ml_assets.evaluation.result import read_result
from ml_assets.registry.promote import apply_decision, champion
from ml_assets.registry.versions import VersionRef, load_version


@dataclass(frozen=True)
class Passage:
    """What the gate decided, and the champion after it (none while no candidate has passed)."""

    decision: GateDecision
    champion: VersionRef | None


def pass_gate(
    spec: ModelSpec, settings: Settings, version: Path, evaluation: Path, *, refused: str | None = None
) -> Passage:
    """Judge a version by its evaluation and carry the decision out.

    Args:
        spec: the model; `gate` says what a champion must reach.
        settings: the deployment.
        version: the candidate's folder.
        evaluation: the folder of its evaluation.
        refused: why the version may not serve whatever its evaluation says: it was taken back.

    Raises:
        CorruptedVersionError: when the candidate's files were altered.
        StaleDecisionError: when the champion changed since the evaluation.
    """
    decision = decide(read_result(evaluation / RESULT), spec.gate)
    if refused and decision.promote:
        decision = decision.model_copy(update={"promote": False, "reason": f"{refused}; the gate: {decision.reason}"})
    apply_decision(settings, spec, load_version(version), decision)
    return Passage(decision, champion(settings, spec))
