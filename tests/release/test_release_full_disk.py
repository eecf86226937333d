"""Going back on a disk without a free block: what serves is right at once, the account is made good later."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from release_traffic import NAME, Shop, small_spec
from small_disk import fill, small_disk

from ml_assets.config.model_spec import model_specs
from ml_assets.config.settings import PROJECT, Settings
from ml_assets.journals import damages
from ml_assets.registry import reserve
from ml_assets.registry.history import deployments, history_path, write_pointer
from ml_assets.registry.pointer import require_pointer
from ml_assets.release import Blocked, begin, control, progress, roll_back
from ml_assets.release.demotion import Debt, debt_path

SPEC = small_spec()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as mounted:
        yield mounted


@pytest.fixture
def shop(disk: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(control, "pay", lambda settings, spec: None)
    made = Shop(Settings(home=disk / "home", shop="simulated", threads=1))
    for version in "abc":
        made.deploy(version)
    return made


def reserved(shop: Shop) -> Path:
    return reserve.reserve_path(shop.settings, NAME)


def blocked(shop: Shop, version: str) -> bool:
    try:
        begin(shop.settings, SPEC, shop.version(version).path, "the daily deployment")
    except Blocked:
        return True
    return False


def fill_the_last_block(shop: Shop) -> None:
    """Leave no room for a line in the block that the history ends in."""
    lines = history_path(shop.path).read_bytes()
    length = len(lines.splitlines()[-1]) + 1
    write_pointer(shop.path, require_pointer(shop.path), "deployed" + "x" * (-(len(lines) + length) % 4096))
    assert history_path(shop.path).stat().st_size % 4096 == 0


def test_a_deployment_makes_a_reserve_that_is_really_allocated(shop: Shop):
    assert reserved(shop).stat().st_blocks * 512 >= reserve.BYTES


def test_with_the_reserve_everything_is_written_and_it_can_be_done_again(shop: Shop, disk: Path):
    fill(disk)
    told: list[str] = []
    for version in "ba":
        roll_back(shop.settings, SPEC, f"back to {version}", tell=told.append)
        assert shop.serves == version
        assert os.statvfs(disk).f_bavail * 4096 < reserve.LEAST, "nobody else gets what is left"
        assert reserved(shop).stat().st_blocks * 512 >= reserve.LEAST
    assert told == []
    assert [(line["event"], line["reason"]) for line in shop.entries] == [
        ("rolled_back", "back to b"), ("rolled_back", "back to a"),
    ]  # fmt: skip
    assert Debt.model_validate_json(debt_path(shop.settings, NAME).read_bytes()).before == (shop.version("c").version,)


def test_without_a_reserve_it_takes_effect_and_the_account_is_made_good_when_there_is_room(shop: Shop, disk: Path):
    fill_the_last_block(shop)
    reserved(shop).unlink()
    ballast = fill(disk)
    told: list[str] = []
    for version in "ba":
        roll_back(shop.settings, SPEC, f"back to {version}", tell=told.append)
        assert shop.serves == version
    assert len(told) == 2
    assert "completed at the next look" in told[0]
    assert len(require_pointer(shop.path).unnoted) == 2
    assert "keeps 2 lines" in damages(shop.settings, NAME)[0]
    assert [each.reason for each in deployments(shop.path)][-2:] == ["back to b", "back to a"]

    ballast.unlink()
    progress(shop.settings, NAME)
    assert damages(shop.settings, NAME) == []
    versions = {shop.version(text).version: text for text in "abc"}
    said = [(line["event"], versions[line["version"]], line["reason"]) for line in shop.entries]
    assert said == [("rolled_back", "c", "back to b"), ("rolled_back", "b", "back to a")]
    assert [each.reason for each in deployments(shop.path)][-2:] == ["back to b", "back to a"]
    assert (blocked(shop, "c"), blocked(shop, "b")) == (True, True)
    with pytest.raises(LookupError):
        roll_back(shop.settings, SPEC, "once more")


def test_the_next_deployment_makes_good_what_the_history_lacks(shop: Shop, disk: Path):
    reserved(shop).unlink()
    ballast = fill(disk)
    roll_back(shop.settings, SPEC, "errors")
    ballast.unlink()
    shop.deploy("d")
    assert [each.reason for each in deployments(shop.path)] == ["deployed"] * 3 + ["errors", "deployed"]
    assert require_pointer(shop.path).unnoted == ()
    progress(shop.settings, NAME)
    assert blocked(shop, "c")
    assert roll_back(shop.settings, SPEC, "errors").model_version == shop.version("b").version


def test_a_release_under_way_ends(shop: Shop, disk: Path):
    begin(shop.settings, SPEC, shop.version("d").path, "test")
    reserved(shop).unlink()
    ballast = fill(disk)
    roll_back(shop.settings, SPEC, "it looks odd")
    assert (shop.serves, shop.release) == ("c", None)
    ballast.unlink()
    progress(shop.settings, NAME)
    assert blocked(shop, "d")


def test_a_named_version_is_put_back_and_not_blocked_any_more(shop: Shop, disk: Path):
    roll_back(shop.settings, SPEC, "errors")
    reserved(shop).unlink()
    ballast = fill(disk)
    roll_back(shop.settings, SPEC, "it was not c", to=shop.version("c").version)
    assert shop.serves == "c"
    ballast.unlink()
    progress(shop.settings, NAME)
    shop.deploy("a")
    assert (blocked(shop, "c"), blocked(shop, "b")) == (False, True)


def test_a_deployment_does_not_move_the_pointer_without_its_line(shop: Shop, disk: Path):
    shop.version("d")
    fill(disk)
    with pytest.raises(OSError, match="No space left"):
        shop.deploy("d")
    assert shop.serves == "c"
    assert [each.reason for each in deployments(shop.path)] == ["deployed"] * 3


def test_the_command_works(disk: Path, monkeypatch: pytest.MonkeyPatch):
    name = model_specs()[0].name
    monkeypatch.setattr("release_traffic.NAME", name)
    shop = Shop(Settings(home=disk / "home", shop="simulated", threads=1))
    for version in "ab":
        shop.deploy(version)
    fill(disk)
    done = subprocess.run(
        [sys.executable, "-m", "ml_assets", "rollback", "--reason", "errors"],
        cwd=PROJECT, env={**os.environ, "ML_ASSETS_HOME": str(disk / "home"), "ML_ASSETS_SHOP": "simulated"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no server runs: it serves from the next start" in " ".join(done.stdout.split())
    assert shop.serves == "a"
    assert b'"rollback": true' in history_path(shop.path).read_bytes()
