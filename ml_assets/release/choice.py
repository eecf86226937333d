"""Which version may serve: the registry's champion, unless it was taken back; then the one that serves.

What was rolled back, held or found broken stays back until a person says otherwise. Every way to a prediction asks
here: deployment, built-in fallback, batch predictions, the conformance suite.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.registry import promote
from ml_assets.registry.pointer import current_pointer, pointer_path
from ml_assets.registry.release_journal import why_taken_back
from ml_assets.registry.versions import VersionRef, load_version
from ml_assets.release.demotion import pay
from ml_assets.release.recovery import alone


class TakenBack(RuntimeError):  # noqa: N818 - the answer, rather than a fault
    """The version was taken back, and nothing else serves that could stand in for it."""


@dataclass(frozen=True)
class Choice:
    """The version that may serve; `refused` says why it is not the one that was asked about."""

    version: VersionRef
    refused: str | None = None


def choose(settings: Settings, name: str, champion: Path) -> Choice:
    """The champion, or the version that serves where the champion was taken back.

    Args:
        settings: the deployment.
        name: the model.
        champion: folder of the version that the gate let through last.

    Raises:
        TakenBack: when the champion was taken back and nothing serves.
        CorruptedVersionError, FileNotFoundError: when the version's files are not those that were published.
    """
    version = load_version(champion)
    refused = taken_back(settings, name, version.version)
    if refused is None:
        return Choice(version)
    serving = current_pointer(pointer_path(settings, name))
    if serving is None or serving.model_version == version.version:
        raise TakenBack(f"{name}: {refused}. Nothing else serves: train a new version, or `rollback --to` another one.")
    text = f"{refused}; {serving.model_version} goes on serving. On purpose: rollback --to {version.version}"
    return Choice(load_version(serving.model_path), text)


def taken_back(settings: Settings, name: str, version: str) -> str | None:
    """Why a version may not serve, or None; a version that was put back on purpose since may."""
    with alone(settings, name):  # brings the journal up to date
        return why_taken_back(settings, name, version)


def standing_champion(settings: Settings, spec: ModelSpec) -> VersionRef | None:
    """The registry's champion after the registry has followed what was taken back; None when there is none yet.

    Raises:
        TakenBack: when the registry still names a version that was taken back: it says what it answered.
        CorruptedVersionError, FileNotFoundError: when the champion's files are not those that were published.
        mlflow.exceptions.MlflowException: when the registry does not answer.
    """
    owed = pay(settings, spec)
    found = promote.champion(settings, spec)
    if found is not None and owed and taken_back(settings, spec.name, found.version):
        raise TakenBack(f"{spec.name}: {owed}")
    return found
