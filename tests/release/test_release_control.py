"""A release from its beginning to its end, by what the service logs."""

from __future__ import annotations

import pytest
from release_traffic import MIDNIGHT, NAME, Log, Shop, small_spec

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.registry.history import write_pointer
from ml_assets.registry.pointer import PointerError, pointer_path, require_pointer, sha256_folder
from ml_assets.registry.release import Stage, bucket, release_path
from ml_assets.registry.versions import CorruptedVersionError
from ml_assets.release import Action, Blocked, begin, control, progress, step

SPEC = small_spec()


@pytest.fixture(autouse=True)
def _no_registry(monkeypatch: pytest.MonkeyPatch, minutes: None):
    """Steps are minutes apart. What the registry is owed has tests of its own, with a real one."""
    monkeypatch.setattr(control, "pay", lambda settings, spec: None)


def customers(shop: Shop, log: Log, count: int, champion: float = 0.4, canary: float = 0.4) -> None:
    release = shop.release
    assert release is not None
    log.serve(release, count, champion, canary)


def at_canary(shop: Shop, log: Log, spec: ModelSpec = SPEC) -> None:
    begin(shop.settings, spec, shop.version("b").path, "a new champion")
    customers(shop, log, 6)
    assert step(shop.settings, spec).action is Action.ADVANCED


def test_from_shadow_over_the_steps_to_everybody(shop: Shop, log: Log):
    begun = begin(shop.settings, SPEC, shop.version("b").path, "a new champion")
    assert (begun.stage, begun.share) == (Stage.SHADOW, 0.0)
    actions = [step(shop.settings, SPEC).action]
    for count in (4, 2, 99, 5, 78, 2):
        customers(shop, log, count, canary=0.6)
        actions.append(step(shop.settings, SPEC).action)
    names = ["waiting", "waiting", "advanced", "waiting", "advanced", "waiting", "promoted"]
    assert [action.value for action in actions] == names
    assert shop.serves == "b"
    assert shop.release is None
    assert shop.events == ["begun", "advanced", "advanced", "promoted"]
    begun_line, first, second, promoted = shop.entries
    assert begun_line["figures"]["customers_needed"] == 180
    assert (first["share"], second["share"]) == (0.2, 0.5)
    assert promoted["figures"]["customers"] == 60
    assert promoted["figures"]["ratio_low"] > 0.5
    assert "no worse than 0.5 of the champion" in promoted["reason"]
    assert step(shop.settings, SPEC).action is Action.IDLE


def test_a_canary_nobody_clicks_on_is_taken_back_and_not_sent_out_again(shop: Shop, log: Log):
    at_canary(shop, log)
    customers(shop, log, 120, champion=0.9, canary=0.0)
    verdict = step(shop.settings, SPEC)
    assert verdict.action is Action.ROLLED_BACK
    assert shop.release is None
    assert shop.serves == "a"
    with pytest.raises(Blocked, match=r"rolled_back at .*harm is certain"):
        begin(shop.settings, SPEC, shop.version("b").path, "the daily deployment")
    forced = begin(shop.settings, SPEC, shop.version("b").path, "we looked into it", force=True)
    assert shop.release == forced
    assert shop.entries[-1]["forced"] is True


def test_without_a_shadow_it_begins_as_a_canary(shop: Shop):
    begun = begin(shop.settings, small_spec(shadow_answers=0), shop.version("b").path, "test")
    assert (begun.stage, begun.share) == (Stage.CANARY, 0.2)


def test_beginning_what_is_under_way_changes_nothing(shop: Shop):
    begun = begin(shop.settings, SPEC, shop.version("b").path, "test")
    assert begin(shop.settings, SPEC, shop.version("b").path, "again") == begun
    assert shop.events == ["begun"]


def test_another_version_takes_the_place_of_the_one_under_way(shop: Shop):
    begin(shop.settings, SPEC, shop.version("b").path, "test")
    begun = begin(shop.settings, SPEC, shop.version("c").path, "a newer champion")
    assert shop.release == begun
    assert shop.events == ["begun", "stopped", "begun"]
    assert f"version {shop.version('c').version} took its place" in shop.entries[1]["reason"]
    begin(shop.settings, SPEC, shop.version("b").path, "it was not to blame")


def test_what_cannot_begin_says_why(settings: Settings, shop: Shop):
    with pytest.raises(ValueError, match="serves everybody already"):
        begin(settings, SPEC, shop.version("a").path, "test")
    with pytest.raises(FileNotFoundError, match="no such model version"):
        begin(settings, SPEC, shop.folder / "versions" / "nothing", "test")
    ref = shop.version("b")
    with pytest.raises(ValueError, match="is a version of ranker"):
        begin(settings, SPEC.model_copy(update={"name": "other"}), ref.path, "test") if _other(shop) else None
    ref.booster_file.write_text("altered")
    with pytest.raises(CorruptedVersionError):
        begin(settings, SPEC, ref.path, "test")
    shop.path.unlink()
    with pytest.raises(PointerError, match="nothing has been deployed"):
        begin(settings, SPEC, shop.version("c").path, "test")
    assert shop.release is None


def _other(shop: Shop) -> bool:
    """Another model serves as well."""
    write_pointer(pointer_path(shop.settings, "other"), require_pointer(shop.path))
    return True


def test_a_refreshed_index_neither_ends_a_release_nor_is_lost_by_it(shop: Shop, log: Log):
    spec = small_spec(steps=(0.5,), margin=0.9)
    at_canary(shop, log, spec)
    refreshed = shop.deploy("a", index="tuesday", day=1)
    customers(shop, log, 120)
    assert step(shop.settings, spec).action is Action.PROMOTED
    pointer = require_pointer(shop.path)
    assert shop.serves == "b"
    assert pointer.index_path == refreshed.index_path
    assert pointer.index_sha256 == sha256_folder(shop.index("tuesday"))
    assert pointer.as_of == MIDNIGHT.replace(day=3)


def test_a_release_the_pointer_has_left_behind_is_stopped(shop: Shop, log: Log):
    at_canary(shop, log)
    shop.deploy("c")
    verdict = step(shop.settings, SPEC)
    assert verdict.action is Action.STOPPED
    assert "stale" in verdict.reason
    assert shop.release is None
    begin(shop.settings, SPEC, shop.version("b").path, "compared anew")


def test_a_challenger_that_was_altered_meanwhile_is_not_promoted(shop: Shop, log: Log):
    spec = small_spec(steps=(0.5,), margin=0.9)
    at_canary(shop, log, spec)
    shop.version("b").booster_file.write_text("altered")
    customers(shop, log, 120)
    verdict = step(shop.settings, spec)
    assert (verdict.action, shop.serves, shop.release) == (Action.STOPPED, "a", None)
    assert "not promoted" in verdict.reason


def test_a_release_that_changes_while_it_is_judged_is_left_alone(shop: Shop, log: Log, monkeypatch: pytest.MonkeyPatch):
    at_canary(shop, log)
    customers(shop, log, 120, champion=0.9, canary=0.0)
    real = control.read

    def slow_read(*given: object) -> object:
        seen = real(*given)  # type: ignore[arg-type]
        begin(shop.settings, SPEC, shop.version("c").path, "somebody else")
        return seen

    monkeypatch.setattr(control, "read", slow_read)
    assert step(shop.settings, SPEC).action is Action.IDLE
    assert shop.release is not None
    assert shop.release.model_version == shop.version("c").version


def test_a_file_that_does_not_read_releases_nothing(shop: Shop):
    begin(shop.settings, SPEC, shop.version("b").path, "test")
    release_path(shop.settings, NAME).write_text("{")
    assert step(shop.settings, SPEC).action is Action.IDLE
    assert shop.events == ["begun", "stopped"]
    assert not release_path(shop.settings, NAME).exists()


def test_progress_is_a_key_that_changes_with_the_log(shop: Shop, log: Log):
    assert progress(shop.settings, NAME) is None
    begun = begin(shop.settings, SPEC, shop.version("b").path, "test")
    first = progress(shop.settings, NAME)
    assert first is not None
    assert first == progress(shop.settings, NAME)
    log.serve(begun, 1)
    assert progress(shop.settings, NAME) != first


def test_what_customers_are_drawn_by_is_random_and_in_no_journal(shop: Shop):
    salts = {begin(shop.settings, SPEC, shop.version(text).path, "test").salt for text in ("b", "c")}
    assert len(salts) == 2
    release = shop.release
    assert release is not None
    assert release.salt in salts
    assert release.place("u1") == bucket(release.salt or "", "u1") != bucket(release.release_id, "u1")
    journal = (shop.folder / "releases.jsonl").read_text()
    assert not [salt for salt in salts if salt and (salt in journal or salt in repr(release))]


def test_a_release_written_before_there_were_salts_goes_on_as_it_was(shop: Shop):
    begun = begin(shop.settings, SPEC, shop.version("b").path, "test")
    path = release_path(shop.settings, NAME)
    path.write_text(begun.model_dump_json(exclude={"salt"}))
    release = shop.release
    assert release is not None
    assert release.place("u1") == bucket(begun.release_id, "u1")
