"""The gate decides when an evaluation is made: page, check and champion say that, whatever the YAML is by now."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import dagster as dg
import pytest
from tiny_training_set import small_spec, write_dataset

from ml_assets.components.model_assets import training_assets
from ml_assets.config.model_spec import GateSpec, ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.evaluation.evaluate import REPORT, RESULT, evaluate, evaluation_folder
from ml_assets.evaluation.gate import LATE, decide
from ml_assets.evaluation.result import DIGEST, read_result
from ml_assets.registry.versions import VersionRef
from ml_assets.training.train import train


@pytest.fixture
def settings(tracked: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the assets read from the environment."""
    monkeypatch.setenv("ML_ASSETS_HOME", str(tracked.home))
    monkeypatch.setenv("ML_ASSETS_SHOP", tracked.shop)
    return tracked


def gated(spec: ModelSpec, **changes: Any) -> ModelSpec:
    """The same model under another gate."""
    return spec.model_copy(update={"gate": GateSpec.model_validate(spec.gate.model_dump() | changes)})


def said(spec: ModelSpec, settings: Settings, version: VersionRef) -> tuple[dg.AssetCheckResult, list[str]]:
    """What the check and the asset `champion` of a model say of a version's evaluation; the asset: what it logs."""
    handed = {"version": version.version, "path": str(version.path)}
    folder = {"path": str(evaluation_folder(settings, spec.name, version.version))}
    parts = training_assets(spec)
    (champion,) = [each for each in parts if each.keys == {dg.AssetKey([spec.name, "champion"])}]
    (check,) = [each for each in parts if any(key.name == "beats_reference" for key in each.check_keys)]
    judged = check(evaluation=folder)
    made = list(champion(dg.build_asset_context(), candidate=handed, evaluation=folder))
    return judged, [each.metadata["reason"] for each in made]


def test_page_check_and_champion_say_what_was_decided_whatever_the_gate_is_by_now(tmp_path, settings: Settings):
    spec = small_spec()
    dataset = write_dataset(tmp_path / "sets" / "0123456789abcdef", spec)
    version = train(spec, settings, dataset).version
    result = evaluate(spec, settings, dataset, version, evidently=False)
    folder = evaluation_folder(settings, spec.name, version.version)
    decided = read_result(folder / RESULT).decision
    assert decided == result.decision == decide(result, spec.gate)
    assert decided.promote
    strict = gated(spec, margin=0.9)
    assert not decide(result, strict.gate).promote
    check, reasons = said(strict, settings, version)
    assert (check.passed, check.description, reasons) == (True, decided.reason, [decided.reason])
    assert decided.reason.split(":")[0] in (folder / REPORT).read_text()


def test_another_gate_judges_anew(tmp_path, settings: Settings):
    spec = small_spec()
    dataset = write_dataset(tmp_path / "sets" / "0123456789abcdef", spec)
    version = train(spec, settings, dataset).version
    first = evaluate(spec, settings, dataset, version, evidently=False)
    strict = gated(spec, margin=0.9)
    anew = evaluate(strict, settings, dataset, version, evidently=False)
    assert anew.inputs != first.inputs
    assert (first.decision.promote, anew.decision.promote) == (True, False)
    check, reasons = said(strict, settings, version)
    assert (check.passed, check.description, reasons) == (False, anew.decision.reason, [])
    page = (evaluation_folder(settings, spec.name, version.version) / REPORT).read_text()
    assert "Stays challenger" in page
    assert "at least +0.9000 asked" in page


def test_an_evaluation_from_before_is_decided_where_it_is_read(tmp_path, settings: Settings):
    spec = small_spec()
    dataset = write_dataset(tmp_path / "sets" / "0123456789abcdef", spec)
    version = train(spec, settings, dataset).version
    result = evaluate(spec, settings, dataset, version, evidently=False)
    path = evaluation_folder(settings, spec.name, version.version) / RESULT
    before = result.model_dump(mode="json", exclude={"decision"})
    digest = hashlib.sha256(json.dumps(before, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({**before, DIGEST: digest}))
    check, reasons = said(spec, settings, version)
    assert (check.passed, check.description) == (True, f"{result.decision.reason}; {LATE}")
    assert reasons == [check.description]
