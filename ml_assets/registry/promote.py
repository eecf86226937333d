"""Promotion and back: one at a time, through MLflow's alias, with a journal of who became champion, when and why.

MLflow's alias is an upsert without compare-and-set. The file lock makes the look at the champion and the swap
one step, and a decision taken against a champion that is no longer one is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.registry.mlflow_client import open_mlflow
from ml_assets.registry.versions import VersionRef, load_version, versions_home
from ml_assets.storage import journal
from ml_assets.storage.file_lock import file_lock

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


class Decision(Protocol):
    """What promotion needs of the gate's decision, and what its journal keeps."""

    @property
    def candidate(self) -> str:
        """The version that was judged."""
        ...

    @property
    def champion(self) -> str | None:
        """The champion it was compared with."""
        ...

    @property
    def reference(self) -> str:
        """What it was compared with."""
        ...

    @property
    def promote(self) -> bool:
        """Whether it becomes champion."""
        ...

    @property
    def reason(self) -> str:
        """Why."""
        ...

    @property
    def checks(self) -> Sequence[BaseModel]:
        """The conditions of the gate."""
        ...


CHAMPION, CHALLENGER = "champion", "challenger"
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow answers when there is no such model, or no such alias."""


class StaleDecisionError(RuntimeError):
    """The champion changed after the candidate was compared to it."""


def champion(settings: Settings, spec: ModelSpec) -> VersionRef | None:
    """The verified version behind MLflow's champion alias, or None when nothing was promoted yet.

    Raises:
        CorruptedVersionError: when the champion's files were altered.
        FileNotFoundError: when the champion's folder is gone.
    """
    version = champion_version(open_mlflow(settings), spec.name)
    return None if version is None else load_version(versions_home(settings, spec.name) / version)


def champion_version(client: MlflowClient, name: str) -> str | None:
    """The version id behind the champion alias; None when nothing is registered or has the alias.

    Raises:
        mlflow.exceptions.MlflowException: when the registry does not answer: that does not say that there is none.
    """
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_model_version_by_alias(name, CHAMPION).tags["version"])
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            return None
        raise


def promotion_journal(settings: Settings, name: str) -> Path:
    """Where the model's journal lies."""
    return settings.model_home(name) / "journal.jsonl"


def promotions(settings: Settings, name: str) -> list[dict[str, Any]]:
    """Every line of the promotion journal that reads, oldest first; `promotion_problems` is about the others."""
    return journal.readable(promotion_journal(settings, name), _told)[0]


def promotion_problems(settings: Settings, name: str) -> list[journal.Problem]:
    """What is wrong with the model's promotion journal."""
    return journal.readable(promotion_journal(settings, name), _told)[1]


def _told(line: dict[str, Any]) -> None:
    """Take what readers need out of a line; raises when it is not there."""
    texts = [line[name] for name in ("event", "at", "version", "reason", "training_set") if name in line]
    datetime.fromisoformat(line["at"])
    needed = {"promoting": ("version",), "demoting": ("version", "champion")}.get(line["event"], ())
    if not all(isinstance(text, str) for text in (*texts, *(line[name] for name in needed))):
        raise TypeError(f"not a line of a promotion journal: {line}")


def apply_decision(
    settings: Settings, spec: ModelSpec, ref: VersionRef, decision: Decision, at: datetime | None = None
) -> dict[str, Any]:
    """Make the candidate champion if the gate said so, else keep it as challenger; return the entry.

    Deciding the same twice changes nothing: for the champion itself the entry that promoted it is returned.

    Args:
        settings: the deployment.
        spec: the model.
        ref: the candidate's verified version.
        decision: the gate's decision about exactly this version.
        at: when, for the journal; default now.

    Raises:
        ValueError: when the decision is about another version.
        StaleDecisionError: when the champion is no longer the one the candidate was compared to. Evaluate
            again.
    """
    if decision.candidate != ref.version:
        raise ValueError(f"the decision is about version {decision.candidate}, the candidate is {ref.version}")
    path = promotion_journal(settings, spec.name)
    client = open_mlflow(settings)
    with file_lock(path.with_name("promotion.lock")):
        current = champion_version(client, spec.name)
        _settle(path, current)
        if current == ref.version:
            return _entry_of(path, ref.version)
        if current != decision.champion:
            raise StaleDecisionError(
                f"{spec.name}: {ref.version} was compared to {decision.champion or 'the best baseline'}, "
                f"but {current or 'nothing'} is champion now. Evaluate it again."
            )
        registered = register(client, spec.name, ref)
        entry = _entry(ref, decision, registered, current)
        if not decision.promote:
            client.set_registered_model_alias(spec.name, CHALLENGER, registered)
            return journal.append(path, {"event": "kept", **entry}, at)
        journal.append(path, {"event": "promoting", **entry}, at)
        client.set_registered_model_alias(spec.name, CHAMPION, registered)
        _drop_challenger(client, spec.name, registered)
        return journal.append(path, {"event": "promoted", **entry}, at)


def demote(
    settings: Settings, spec: ModelSpec, version: str, *, to_version: str, reason: str, at: datetime | None = None
) -> dict[str, Any] | None:
    """Take the champion alias from a version that did not do, back to the one that serves; return the entry.

    Args:
        settings: the deployment.
        spec: the model.
        version: who is not to be champion; when it is not (any more), nothing changes and None is returned.
        to_version: who serves.
        reason: for the journal.
        at: when, for the journal; default now.

    Raises:
        CorruptedVersionError, FileNotFoundError: when `to_version` is not intact.
        mlflow.exceptions.MlflowException: when the registry does not answer.
    """
    path = promotion_journal(settings, spec.name)
    client = open_mlflow(settings)
    with file_lock(path.with_name("promotion.lock")):
        current = champion_version(client, spec.name)
        _settle(path, current)
        if current != version:
            return None
        ref = load_version(versions_home(settings, spec.name) / to_version)
        registered = register(client, spec.name, ref)
        entry = {
            "model": spec.name,
            "version": version,
            "champion": to_version,
            "registered_version": registered,
            "reason": reason,
        }
        journal.append(path, {"event": "demoting", **entry}, at)
        client.set_registered_model_alias(spec.name, CHAMPION, registered)
        return journal.append(path, {"event": "demoted", **entry}, at)


def register(client: MlflowClient, name: str, ref: VersionRef) -> str:
    """MLflow's number of the version, registered (pointing to the run's model text) when it is not yet."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException:
        client.get_registered_model(name)  # it exists; anything else is an error worth raising
    for known in client.search_model_versions(f"name = '{name}'"):
        if known.tags.get("version") == ref.version:
            return str(known.version)
    source = f"{client.get_run(ref.run_id).info.artifact_uri}/model"
    tags = {"version": ref.version, "sha256": ref.sha256, "training_set": ref.training_set}
    return str(client.create_model_version(name, source=source, run_id=ref.run_id, tags=tags).version)


def _drop_challenger(client: MlflowClient, name: str, registered: str) -> None:
    """A version that became champion is nobody's challenger any more."""
    if str(client.get_registered_model(name).aliases.get(CHALLENGER)) == registered:
        client.delete_registered_model_alias(name, CHALLENGER)


def _entry(ref: VersionRef, decision: Decision, registered: str, current: str | None) -> dict[str, Any]:
    return {
        "model": ref.name,
        "version": ref.version,
        "registered_version": registered,
        "run_id": ref.run_id,
        "training_set": ref.training_set,
        "data": ref.created_from.get("data"),
        "champion_before": current,
        "reference": decision.reference,
        "reason": decision.reason,
        "checks": [check.model_dump() for check in decision.checks],
    }


def _entry_of(path: Path, version: str) -> dict[str, Any]:
    lines = journal.readable(path, _told)[0]
    promoted = [line for line in lines if line["event"] == "promoted" and line.get("version") == version]
    return promoted[-1] if promoted else {"event": "promoted", "version": version, "reason": "already champion"}


def _settle(path: Path, current: str | None) -> None:
    """Finish the account of a change whose process died between the alias and the journal."""
    entries = journal.readable(path, _told)[0]
    if not entries or entries[-1]["event"] not in {"promoting", "demoting"}:
        return
    opened = {key: value for key, value in entries[-1].items() if key not in {*journal.OWN, "event"}}
    event, wanted = ("promoted", "version") if entries[-1]["event"] == "promoting" else ("demoted", "champion")
    done = current == opened[wanted]
    journal.append(path, {"event": event if done else "abandoned", **opened, "recovered": True})
