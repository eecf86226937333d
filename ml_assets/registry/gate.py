"""The gate as one step: read the evaluation, decide, promote or keep, and say who is champion now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ml_assets.learning.compare import GateDecision, decide
from ml_assets.learning.evaluate import RESULT
from ml_assets.learning.evaluation import read_result
from ml_assets.learning.spec import ModelSpec
from ml_assets.registry.promote import apply_decision, champion
from ml_assets.registry.versions import VersionRef, load_version
from ml_assets.settings import Settings


@dataclass(frozen=True)
class Passage:
    """What the gate decided, and the champion after it (none while no candidate has passed)."""

    decision: GateDecision
    champion: VersionRef | None


def pass_gate(spec: ModelSpec, settings: Settings, version: Path, evaluation: Path) -> Passage:
    """Judge a version by its evaluation and carry the decision out.

    Args:
        spec: the model; `gate` says what a champion must reach.
        settings: the deployment.
        version: the candidate's folder.
        evaluation: the folder of its evaluation.

    Raises:
        CorruptedVersionError: when the candidate's files were altered.
        StaleDecisionError: when the champion changed since the evaluation.
    """
    decision = decide(read_result(evaluation / RESULT), spec.gate)
    apply_decision(settings, spec, load_version(version), decision)
    return Passage(decision, champion(settings, spec))
