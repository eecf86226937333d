"""The gate as one step: read the decision of the evaluation, promote or keep, and say who is champion now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.evaluation.evaluate import RESULT
from ml_assets.evaluation.gate import decision_of
from ml_assets.evaluation.result import GateDecision, read_result
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
    """Carry out what was decided when the version was evaluated.

    Args:
        spec: the model; its `gate` decides only an evaluation from before decisions were stored.
        settings: the deployment.
        version: the candidate's folder.
        evaluation: the folder of its evaluation.
        refused: why the version may not serve whatever its evaluation says: it was taken back.

    Raises:
        FileNotFoundError, AlteredResultError: when there is no evaluation, or it is not what was written.
        CorruptedVersionError: when the candidate's files were altered.
        StaleDecisionError: when the champion changed since the evaluation.
    """
    decision = decision_of(read_result(evaluation / RESULT), spec.gate)
    if refused and decision.promote:
        decision = decision.model_copy(update={"promote": False, "reason": f"{refused}; the gate: {decision.reason}"})
    apply_decision(settings, spec, load_version(version), decision)
    return Passage(decision, champion(settings, spec))
