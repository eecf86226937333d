from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Callable
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.evaluation.result import GateDecision
from ml_assets.registry.mlflow_client import open_mlflow
from ml_assets.registry.promote import (
    CHALLENGER,
    CHAMPION,
    StaleDecisionError,
    apply_decision,
    champion,
    demote,
    promotion_journal,
    register,
)
from ml_assets.registry.versions import CorruptedVersionError, VersionRef
from ml_assets.storage import journal

Publish = Callable[[str], VersionRef]
Decide = Callable[..., GateDecision]


def events(settings: Settings) -> list[tuple[str, str]]:
    found = journal.read(promotion_journal(settings, "recommender"))
    return [(entry["event"], entry["version"]) for entry in found]


def test_nothing_is_champion_at_first(settings: Settings, spec: ModelSpec):
    assert champion(settings, spec) is None


def test_a_promotion_moves_the_alias_and_says_why(
    settings: Settings, spec: ModelSpec, publish: Publish, decide: Decide
):
    ref = publish("one")
    entry = apply_decision(settings, spec, ref, decide(ref.version))
    assert champion(settings, spec) == ref
    assert entry["event"] == "promoted"
    assert entry["run_id"] == ref.run_id
    assert entry["data"] == {"last_event_day": "2011-12-04"}
    assert "beats ease" in entry["reason"]
    registered = open_mlflow(settings).get_model_version_by_alias(spec.name, CHAMPION)
    assert registered.run_id == ref.run_id
    assert registered.source.endswith("/artifacts/model")
    files = {file.path for file in open_mlflow(settings).list_artifacts(ref.run_id, "model")}
    assert "model/booster.txt" in files


def test_a_candidate_that_fails_is_kept_as_challenger(
    settings: Settings, spec: ModelSpec, publish: Publish, decide: Decide
):
    old, new = publish("one"), publish("two")
    apply_decision(settings, spec, old, decide(old.version))
    kept = apply_decision(settings, spec, new, decide(new.version, old.version, promote=False))
    assert (kept["event"], kept["champion_before"]) == ("kept", old.version)
    assert champion(settings, spec) == old
    aliases = open_mlflow(settings).get_registered_model(spec.name).aliases
    assert set(aliases) == {CHAMPION, CHALLENGER}

    apply_decision(settings, spec, new, decide(new.version, old.version))
    assert champion(settings, spec) == new
    assert set(open_mlflow(settings).get_registered_model(spec.name).aliases) == {CHAMPION}


def test_promoting_the_champion_again_changes_nothing(
    settings: Settings, spec: ModelSpec, publish: Publish, decide: Decide
):
    ref = publish("one")
    first = apply_decision(settings, spec, ref, decide(ref.version))
    again = apply_decision(settings, spec, ref, decide(ref.version, ref.version, promote=False))
    assert again == first
    assert events(settings) == [("promoting", ref.version), ("promoted", ref.version)]


def test_a_decision_against_a_former_champion_is_refused(
    settings: Settings, spec: ModelSpec, publish: Publish, decide: Decide
):
    one, two = publish("one"), publish("two")
    apply_decision(settings, spec, one, decide(one.version))
    with pytest.raises(StaleDecisionError, match=f"{one.version} is champion now"):
        apply_decision(settings, spec, two, decide(two.version))
    assert champion(settings, spec) == one


def test_a_decision_about_another_version_is_refused(
    settings: Settings, spec: ModelSpec, publish: Publish, decide: Decide
):
    with pytest.raises(ValueError, match="about version other"):
        apply_decision(settings, spec, publish("one"), decide("other"))


def test_a_corrupted_champion_is_refused(settings: Settings, spec: ModelSpec, publish: Publish, decide: Decide):
    ref = publish("one")
    apply_decision(settings, spec, ref, decide(ref.version))
    ref.booster_file.write_text("two")
    with pytest.raises(CorruptedVersionError):
        champion(settings, spec)


@pytest.mark.parametrize("moved", [True, False])
def test_a_promotion_that_was_killed_is_accounted_for(
    settings: Settings, spec: ModelSpec, publish: Publish, decide: Decide, moved: bool
):
    one, two = publish("one"), publish("two")
    path = promotion_journal(settings, spec.name)
    journal.append(path, {"event": "promoting", "version": one.version})
    if moved:
        client = open_mlflow(settings)
        client.set_registered_model_alias(spec.name, CHAMPION, register(client, spec.name, one))
    before = one.version if moved else None
    apply_decision(settings, spec, two, decide(two.version, before, promote=False))
    settled = ("promoted" if moved else "abandoned", one.version)
    assert events(settings) == [("promoting", one.version), settled, ("kept", two.version)]


def test_a_demotion_gives_the_alias_back_and_says_why(
    settings: Settings, spec: ModelSpec, publish: Publish, decide: Decide
):
    one, two = publish("one"), publish("two")
    apply_decision(settings, spec, one, decide(one.version))
    assert demote(settings, spec, two.version, to_version=one.version, reason="it is not champion") is None
    apply_decision(settings, spec, two, decide(two.version, one.version))
    entry = demote(settings, spec, two.version, to_version=one.version, reason="half the clicks")
    assert champion(settings, spec) == one
    assert entry is not None
    assert (entry["event"], entry["version"], entry["champion"]) == ("demoted", two.version, one.version)
    assert entry["reason"] == "half the clicks"
    assert demote(settings, spec, two.version, to_version=one.version, reason="again") is None

    back = apply_decision(settings, spec, two, decide(two.version, one.version))
    assert (back["event"], champion(settings, spec)) == ("promoted", two)


@pytest.mark.parametrize("moved", [True, False])
def test_a_demotion_that_was_killed_is_accounted_for(
    settings: Settings, spec: ModelSpec, publish: Publish, decide: Decide, moved: bool
):
    one, two = publish("one"), publish("two")
    client, path = open_mlflow(settings), promotion_journal(settings, spec.name)
    for ref in (one, two):
        client.set_registered_model_alias(spec.name, CHAMPION, register(client, spec.name, ref))
    journal.append(path, {"event": "demoting", "version": two.version, "champion": one.version})
    if moved:
        client.set_registered_model_alias(spec.name, CHAMPION, register(client, spec.name, one))
    entry = demote(settings, spec, two.version, to_version=one.version, reason="again")
    assert champion(settings, spec) == one
    assert (entry is None) is moved
    told = [("demoting", two.version), ("demoted" if moved else "abandoned", two.version)]
    assert events(settings) == told + ([] if moved else [("demoting", two.version), ("demoted", two.version)])


def test_a_registry_that_does_not_answer_is_not_one_without_a_champion(
    settings: Settings, spec: ModelSpec, publish: Publish, decide: Decide
):
    from mlflow.exceptions import MlflowException

    apply_decision(settings, spec, (ref := publish("one")), decide(ref.version))
    with closing(sqlite3.connect(settings.mlflow_uri.removeprefix("sqlite:///"))) as database:
        database.execute("alter table registered_models rename to away")
    with pytest.raises(MlflowException):
        champion(settings, spec)


def _promote(
    home: Path, spec: ModelSpec, ref: VersionRef, decision: GateDecision, *, both: tuple[Barrier, Any]
) -> None:
    ready, out = both
    settings = Settings(home=home, shop="simulated", threads=1)
    open_mlflow(settings)
    ready.wait()
    try:
        apply_decision(settings, spec, ref, decision)
        out.put((ref.version, "promoted"))
    except StaleDecisionError:
        out.put((ref.version, "stale"))


def test_of_two_promotions_at_once_one_wins_and_the_other_must_look_again(
    settings: Settings, spec: ModelSpec, publish: Publish, decide: Decide
):
    refs = [publish("one"), publish("two")]
    context = multiprocessing.get_context("spawn")
    ready, out = context.Barrier(2), context.Queue()
    both = [
        context.Process(
            target=_promote,
            args=(settings.home, spec, ref, decide(ref.version)),
            kwargs={"both": (ready, out)},
        )
        for ref in refs
    ]
    for process in both:
        process.start()
    outcome = dict(out.get(timeout=120) for _ in both)
    for process in both:
        process.join()
    assert sorted(outcome.values()) == ["promoted", "stale"]
    winner = next(version for version, how in outcome.items() if how == "promoted")
    now = champion(settings, spec)
    assert now is not None
    assert now.version == winner
    assert events(settings) == [("promoting", winner), ("promoted", winner)]
