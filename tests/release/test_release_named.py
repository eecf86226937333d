"""`rollback --to`: the published version that a person names, whatever became of it before."""

from __future__ import annotations

import shutil

import pytest
from release_traffic import NAME, Shop, small_spec

from ml_assets.registry.history import history_path
from ml_assets.registry.pointer import require_pointer, verify_pointer
from ml_assets.registry.versions import CorruptedVersionError
from ml_assets.release import Blocked, begin, control, progress, roll_back

SPEC = small_spec()


@pytest.fixture(autouse=True)
def no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "pay", lambda settings, spec: None)


def back_to(shop: Shop, version: str) -> None:
    roll_back(shop.settings, SPEC, f"{version} by name", to=shop.version(version).version)
    assert shop.serves == version


def test_a_version_that_never_served_takes_over_the_current_data(shop: Shop):
    shop.deploy("b", index="tuesday", day=1)
    before = require_pointer(shop.path)
    back_to(shop, "z")
    now = require_pointer(shop.path)
    verify_pointer(now)
    assert (now.index_path, now.as_of, now.online_store) == (before.index_path, before.as_of, before.online_store)
    assert shop.events == ["rolled_back"]
    with pytest.raises(Blocked, match="z by name"):
        begin(shop.settings, SPEC, shop.version("b").path, "the daily deployment")
    roll_back(shop.settings, SPEC, "z is worse")
    assert shop.serves == "a"


def test_a_version_that_was_taken_back_is_not_blocked_any_more(shop: Shop):
    shop.deploy("b")
    roll_back(shop.settings, SPEC, "errors")
    back_to(shop, "b")
    assert shop.events == ["rolled_back", "promoted", "rolled_back"]
    shop.deploy("c")
    begin(shop.settings, SPEC, shop.version("b").path, "b again")
    with pytest.raises(Blocked):
        begin(shop.settings, SPEC, shop.version("a").path, "a again")


def test_the_release_under_way_ends(shop: Shop):
    shop.deploy("b")
    begin(shop.settings, SPEC, shop.version("c").path, "test")
    back_to(shop, "a")
    assert shop.release is None
    assert [(line["event"], line.get("blocks")) for line in shop.entries[1:]] == [("rolled_back", True)] * 2
    for version in "bc":
        with pytest.raises(Blocked):
            begin(shop.settings, SPEC, shop.version(version).path, "the daily deployment")
    progress(shop.settings, NAME)
    assert len(shop.entries) == 3


def test_naming_the_challenger_promotes_it(shop: Shop):
    begin(shop.settings, SPEC, shop.version("b").path, "test")
    back_to(shop, "b")
    assert shop.release is None
    assert shop.events == ["begun", "promoted", "rolled_back"]
    assert shop.entries[-1]["version"] == shop.version("a").version


def test_what_serves_already_stays_and_its_challenger_goes(shop: Shop):
    before = shop.path.read_bytes()
    begin(shop.settings, SPEC, shop.version("b").path, "test")
    back_to(shop, "a")
    assert (shop.path.read_bytes(), shop.release) == (before, None)
    back_to(shop, "a")
    assert shop.events == ["begun", "rolled_back"]


def test_a_damaged_index_gives_way_to_the_newest_that_is_whole(shop: Shop):
    shop.deploy("b", index="tuesday")
    shutil.rmtree(shop.index("tuesday"))
    back_to(shop, "a")
    assert require_pointer(shop.path).index_path == shop.index("monday").resolve()


def test_it_works_without_a_pointer_or_without_a_history(shop: Shop):
    shop.deploy("b")
    shop.path.write_text("{")
    back_to(shop, "a")
    with pytest.raises(Blocked):
        begin(shop.settings, SPEC, shop.version("b").path, "the daily deployment")
    history_path(shop.path).unlink()
    back_to(shop, "c")


def test_what_cannot_be_put_back_is_refused_with_what_is_wrong(shop: Shop):
    shop.deploy("b")
    a, c = shop.version("a"), shop.version("c")

    def refused(version: str) -> str:
        with pytest.raises((LookupError, ValueError)) as caught:
            roll_back(shop.settings, SPEC, "errors", to=version)
        assert shop.serves == "b"
        return str(caught.value)

    said = refused("nobody")
    assert "no version nobody" in said
    assert all(f"{ref.version} (20" in said for ref in (a, c))
    assert "no version ../versions" in refused("../versions")
    c.booster_file.write_text("altered")
    with pytest.raises(CorruptedVersionError, match="altered after it was published"):
        roll_back(shop.settings, SPEC, "errors", to=c.version)
    other = small_spec().model_copy(update={"name": "another"})
    shop.settings.model_home("another").mkdir()
    shutil.copytree(shop.folder / "versions", shop.settings.model_home("another") / "versions")
    with pytest.raises(ValueError, match=f"is version {a.version} of {NAME}, not {a.version} of another"):
        roll_back(shop.settings, other, "errors", to=a.version)
