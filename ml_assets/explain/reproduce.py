"""Make a model version again from what it says it was made from, and compare the bits."""

from __future__ import annotations

import hashlib
import json
import tempfile
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.build import build_training_set
from ml_assets.datasets.code import data_code, recorded_before, training_code
from ml_assets.datasets.fingerprint import data_versions, training_set_address
from ml_assets.datasets.provenance import Provenance, changed_keys, code_changes
from ml_assets.datasets.training_set import MANIFEST, DatasetRef
from ml_assets.registry.mlflow_client import environment, open_mlflow
from ml_assets.registry.versions import VersionRef, load_version, versions_home
from ml_assets.storage.warehouse import WarehouseError, connect
from ml_assets.training.train import fit


class Reproduction(BaseModel):
    """What came of it: `same` when the booster is equal to the last bit.

    `changed` names every input that is not what it was; `sha256` is None when there was nothing to train on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    same: bool
    expected: str
    sha256: str | None
    training_set: str
    rounds: int | None
    changed: tuple[str, ...]
    text: str


def reproduce(settings: Settings, spec: ModelSpec, version: str) -> Reproduction:
    """Train a version again from its recorded training set, spec and parameters; publishes nothing.

    The training set is taken from its folder, if that is there and whole by its manifest. Otherwise it is built again
    from the warehouse, aside, provided that data and code are still what they were.

    Args:
        settings: the deployment.
        spec: the model; what the version recorded of its spec counts instead.
        version: the version's id.

    Raises:
        FileNotFoundError: when there is no such version.
        CorruptedVersionError: when its files were altered.
    """
    ref = load_version(versions_home(settings, spec.name) / version)
    then = Provenance.of(ref)
    was = then.spec_then(spec)
    changed = [*code_changes(then, training_code()), *_changed_environment(settings, ref)]
    if recorded_before(then.sources):
        changed.append("the code was recorded file by file, as it once was: it is not compared")
    if not then.spec:
        changed.append("the spec was not recorded: it is taken as it is now")
    kept, why_not = _kept(settings, was, then)
    if kept is not None:
        return _fitted(ref, was, kept, f"from the training set {then.training_set} as it was kept", changed)
    missing = _changed_inputs(settings, was, then)
    if missing:
        return _result(ref, None, None, why_not, [*missing, *changed])
    from feature_repo.store import open_store

    with tempfile.TemporaryDirectory(prefix=".reproduce-", dir=settings.model_home(spec.name)) as aside:
        built = build_training_set(was, settings, open_store(settings), newest=then.newest, into=Path(aside))
        how = f"from the training set {built.fingerprint}, built again from the warehouse ({why_not})"
        return _fitted(ref, was, built, how, changed)


def _fitted(ref: VersionRef, spec: ModelSpec, dataset: DatasetRef, how: str, changed: list[str]) -> Reproduction:
    fitted = fit(spec, dataset, ref.params)
    found = hashlib.sha256(fitted.booster.model_to_string().encode()).hexdigest()
    return _result(ref, found, fitted.rounds, how, changed)


def _result(ref: VersionRef, found: str | None, rounds: int | None, how: str, changed: list[str]) -> Reproduction:
    if found is None:
        said = f"version {ref.version} cannot be made again: {how}"
    elif found == ref.sha256:
        said = f"version {ref.version} made again, equal to the last bit (SHA-256 {found[:12]}), {how}"
    else:
        said = f"version {ref.version} made again is another one (SHA-256 {found[:12]}, not {ref.sha256[:12]}), {how}"
    return Reproduction(
        version=ref.version,
        same=found == ref.sha256,
        expected=ref.sha256,
        sha256=found,
        training_set=how,
        rounds=rounds,
        changed=tuple(changed),
        text=f"{said}; changed since: {'; '.join(changed) or 'nothing that is recorded'}",
    )


def _kept(settings: Settings, spec: ModelSpec, then: Provenance) -> tuple[DatasetRef | None, str]:
    """The training set's folder if it is there and whole, else why not."""
    kept = DatasetRef(settings.model_home(spec.name) / "training_sets" / then.training_set)
    if not (kept.path / MANIFEST).exists():
        return None, f"its training set {kept.path} is gone"
    if kept.manifest.erased:
        return None, f"rows of erased entities were taken out of its training set {kept.path}"
    altered = kept.altered()
    return (None, f"its training set {kept.path} was altered: {', '.join(altered)}") if altered else (kept, "")


def _changed_inputs(settings: Settings, spec: ModelSpec, then: Provenance) -> list[str]:
    """What keeps the training set from being built as it was; nothing when it can be."""
    if then.newest is None:
        return ["the decisions it was made of were not recorded"]
    until = then.newest + timedelta(days=spec.horizon_days)
    try:
        with connect(settings) as warehouse:
            now = data_versions(warehouse, spec, until)
    except WarehouseError as error:
        return [str(error)]
    names = changed_keys(then.data, now)
    changed = [f"{name} before {until}: {then.data.get(name)}, now {now.get(name)}" for name in names]
    changed += code_changes(then, data_code(spec))
    if not changed and training_set_address(spec, now, then.code) != then.training_set:
        changed = ["the model's spec (spine, labels, retrieval, split, negatives or seed)"]
    return changed


def _changed_environment(settings: Settings, ref: VersionRef) -> list[str]:
    """Libraries and machine that differ from those of the version's MLflow run."""
    client = open_mlflow(settings)
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as folder:
        try:
            file = client.download_artifacts(ref.run_id, "environment.json", folder)
            then = json.loads(Path(file).read_text())
        except (MlflowException, OSError):
            return [f"libraries: unknown, MLflow run {ref.run_id} has no environment.json"]
    now = environment()
    return [f"{name}: {then.get(name)}, now {now.get(name)}" for name in changed_keys(then, now)]
