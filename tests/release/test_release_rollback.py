"""Going back by hand, and the registry that follows when it can: files first, with a real MLflow afterwards."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from release_traffic import NAME, Shop, small_spec

from ml_assets.config.settings import Settings
from ml_assets.evaluation.result import GateDecision
from ml_assets.registry.mlflow_client import experiment, open_mlflow
from ml_assets.registry.pointer import require_pointer, verify_pointer
from ml_assets.registry.promote import apply_decision, champion, promotion_journal
from ml_assets.registry.release import release_path
from ml_assets.registry.versions import VersionRef, publish_version
from ml_assets.release import Blocked, begin, control, progress, roll_back, step
from ml_assets.release.demotion import Debt, debt_path
from ml_assets.storage import journal

SPEC = small_spec()


@pytest.fixture
def no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "pay", lambda settings, spec: None)


@pytest.mark.usefixtures("no_registry")
def test_a_release_under_way_ends_and_the_champion_serves_on(shop: Shop):
    begin(shop.settings, SPEC, shop.version("b").path, "test")
    before = require_pointer(shop.path)
    assert roll_back(shop.settings, SPEC, "it looks odd") == before
    assert (shop.release, shop.serves) == (None, "a")
    assert [(entry["event"], entry["reason"]) for entry in shop.entries[1:]] == [("rolled_back", "it looks odd")]
    with pytest.raises(Blocked, match="it looks odd"):
        begin(shop.settings, SPEC, shop.version("b").path, "test")


@pytest.mark.usefixtures("no_registry")
def test_without_a_release_the_version_before_serves_with_the_current_index(shop: Shop):
    shop.deploy("b")
    refreshed = shop.deploy("b", index="tuesday", day=1)
    back = roll_back(shop.settings, SPEC, "errors")
    assert shop.serves == "a"
    assert back == require_pointer(shop.path)
    verify_pointer(back)
    assert (back.index_path, back.as_of) == (refreshed.index_path, refreshed.as_of)
    assert back.deployed_at > refreshed.deployed_at
    entry = shop.entries[-1]
    assert (entry["event"], entry["version"], entry["reason"]) == ("rolled_back", shop.version("b").version, "errors")
    with pytest.raises(Blocked):
        begin(shop.settings, SPEC, shop.version("b").path, "the daily deployment")
    with pytest.raises(LookupError, match="no earlier version to roll back to; deploy a champion instead"):
        roll_back(shop.settings, SPEC, "errors")
    assert shop.serves == "a"


@pytest.mark.usefixtures("no_registry")
def test_a_damaged_version_is_passed_over(shop: Shop):
    for version in ("b", "c"):
        shop.deploy(version)
    shop.version("b").booster_file.write_text("altered")
    roll_back(shop.settings, SPEC, "errors")
    assert shop.serves == "a"
    shop.deploy("d")
    shop.version("a").booster_file.write_text("altered")
    with pytest.raises(LookupError, match=r"that is intact: .*booster\.txt is not what was deployed"):
        roll_back(shop.settings, SPEC, "errors")
    assert shop.serves == "d"


@pytest.mark.usefixtures("no_registry")
def test_with_a_damaged_index_a_deployment_goes_back_as_it_was(shop: Shop):
    shop.deploy("b", index="tuesday")
    shutil.rmtree(shop.index("tuesday"))
    back = roll_back(shop.settings, SPEC, "the index is gone")
    assert (shop.serves, back.index_path) == ("a", shop.index("monday").resolve())
    verify_pointer(back)


@pytest.mark.usefixtures("no_registry")
def test_a_stale_release_does_not_come_to_life_by_going_back(shop: Shop):
    begin(shop.settings, SPEC, shop.version("b").path, "test")
    shop.deploy("c")
    roll_back(shop.settings, SPEC, "c is worse")
    assert (shop.serves, shop.release) == ("a", None)
    assert shop.events == ["begun", "stopped", "rolled_back"]


@pytest.mark.usefixtures("no_registry")
def test_going_back_works_when_pointer_release_and_journal_are_broken(shop: Shop):
    shop.deploy("b")
    begin(shop.settings, SPEC, shop.version("c").path, "test")
    shop.path.write_text("{")
    release_path(shop.settings, NAME).write_text("{")
    journal_path = shop.folder / "releases.jsonl"
    journal_path.write_bytes(b'{"event": "altered"}\n')
    roll_back(shop.settings, SPEC, "everything is broken")
    assert shop.serves == "b"
    verify_pointer(require_pointer(shop.path))
    assert not release_path(shop.settings, NAME).exists()


@pytest.fixture
def two_champions(tracked: Settings) -> tuple[Shop, VersionRef, VersionRef]:
    """Version one serves; version two is the registry's champion by now."""
    shop = Shop(tracked)
    client = open_mlflow(tracked)

    def trained(text: str, before: VersionRef | None) -> VersionRef:
        run = client.create_run(experiment(client, tracked, NAME))
        ref = publish_version(
            tracked, NAME, f"{text}\n", run.info.run_id, features=("a",), params={}, training_set="t", metrics={},
            created_from={},
        )  # fmt: skip
        decision = GateDecision(
            candidate=ref.version, champion=before.version if before else None, reference="ease", promote=True,
            reason="beats it", checks=(),
        )  # fmt: skip
        apply_decision(tracked, SPEC, ref, decision)
        return ref

    one = trained("one", None)
    shop.deploy("one")
    return shop, one, trained("two", one)


def told(settings: Settings) -> list[tuple[str, str]]:
    return [(entry["event"], entry["version"]) for entry in journal.read(promotion_journal(settings, NAME))][4:]


def test_the_registry_follows(two_champions: tuple[Shop, VersionRef, VersionRef]):
    shop, one, two = two_champions
    begin(shop.settings, SPEC, two.path, "champion of the registry")
    assert champion(shop.settings, SPEC) == two
    roll_back(shop.settings, SPEC, "it looks odd")
    assert champion(shop.settings, SPEC) == one
    assert told(shop.settings) == [("demoting", two.version), ("demoted", two.version)]
    assert not debt_path(shop.settings, NAME).exists()


def rename_table(settings: Settings, name: str, to: str) -> None:
    with closing(sqlite3.connect(settings.mlflow_uri.removeprefix("sqlite:///"))) as database:
        database.execute(f"alter table {name} rename to {to}")


def test_a_registry_that_does_not_answer_is_asked_again_at_the_next_step(
    two_champions: tuple[Shop, VersionRef, VersionRef],
):
    shop, one, two = two_champions
    begin(shop.settings, SPEC, two.path, "champion of the registry")
    rename_table(shop.settings, "registered_models", "away")
    assert roll_back(shop.settings, SPEC, "it looks odd").model_version == one.version
    debt = Debt.model_validate_json(debt_path(shop.settings, NAME).read_bytes())
    assert (debt.version, debt.tries) == (two.version, 1)
    assert "no such table" in (debt.error or "")
    assert (progress(shop.settings, NAME) or "").startswith("ranker owes the registry")
    assert "the registry may still name" in step(shop.settings, SPEC).reason

    rename_table(shop.settings, "away", "registered_models")
    assert champion(shop.settings, SPEC) == two
    assert step(shop.settings, SPEC).reason == "no release under way"
    assert champion(shop.settings, SPEC) == one
    assert not debt_path(shop.settings, NAME).exists()
    assert progress(shop.settings, NAME) is None


def test_a_second_debt_does_not_make_the_first_one_forgotten(two_champions: tuple[Shop, VersionRef, VersionRef]):
    shop, one, two = two_champions
    begin(shop.settings, SPEC, two.path, "champion of the registry")
    rename_table(shop.settings, "registered_models", "away")
    roll_back(shop.settings, SPEC, "it looks odd")
    shop.deploy("three")
    roll_back(shop.settings, SPEC, "it looks odd too")
    rename_table(shop.settings, "away", "registered_models")
    step(shop.settings, SPEC)
    assert champion(shop.settings, SPEC) == one
    assert not debt_path(shop.settings, NAME).exists()


def test_a_version_that_never_was_champion_is_nobodys_debt(two_champions: tuple[Shop, VersionRef, VersionRef]):
    shop, _, two = two_champions
    begin(shop.settings, SPEC, shop.version("bad").path, "bad on purpose")
    roll_back(shop.settings, SPEC, "of course")
    assert champion(shop.settings, SPEC) == two
    assert told(shop.settings) == []
    assert not debt_path(shop.settings, NAME).exists()


def test_a_debt_that_does_not_read_is_kept_and_told(two_champions: tuple[Shop, VersionRef, VersionRef]):
    shop, *_ = two_champions
    path = debt_path(shop.settings, NAME)
    path.write_text("{")
    assert "the registry may still name unknown" in step(shop.settings, SPEC).reason
    assert json.loads(path.read_text())["tries"] == 1
