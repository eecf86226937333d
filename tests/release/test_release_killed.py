"""Killed at any moment: what serves is right at once, and the next look completes the account."""

from __future__ import annotations

from pathlib import Path

import pytest
from killed_at import killed_at_each_step
from release_traffic import NAME, Shop, small_spec

from ml_assets.config.settings import Settings
from ml_assets.registry.pointer import require_pointer
from ml_assets.release import begin, control, progress, roll_back, step
from ml_assets.release.observed import Answers, ArmData, Drawn

SPEC = small_spec(steps=(0.5,), shadow_answers=0)
GOOD = Drawn(0.5, 400, 400, 200, 190, 1, 0)
BAD = Drawn(0.5, 400, 400, 20, 190, 1, 0)
ENDS = {"promoted", "rolled_back", "held", "stopped"}


def serving(shop: Shop) -> tuple[str, str | None]:
    """Who answers, as the service reads the files: the champion, and the challenger of a release that is not stale."""
    release, champion = shop.release, require_pointer(shop.path)
    valid = release is not None and release.champion_version == champion.model_version
    challenger = (release.model_path / "booster.txt").read_text().strip() if valid and release else None
    return shop.serves, challenger


def begin_b(shop: Shop) -> None:
    begin(shop.settings, SPEC, shop.version("b").path, "test")


def begin_c(shop: Shop) -> None:
    begin(shop.settings, SPEC, shop.version("c").path, "test")


def take_a_step(shop: Shop) -> None:
    step(shop.settings, SPEC)


def go_back(shop: Shop) -> None:
    roll_back(shop.settings, SPEC, "by hand")


WAYS = {
    "begun": ([], begin_b, begin_b, None, ["begun"]),
    "superseded": ([begin_b], begin_c, begin_c, None, ["begun", "stopped", "begun"]),
    "promoted": ([begin_b], take_a_step, take_a_step, GOOD, ["begun", "promoted"]),
    "rolled back": ([begin_b], take_a_step, take_a_step, BAD, ["begun", "rolled_back"]),
    "by hand": ([begin_b], go_back, take_a_step, None, ["begun", "rolled_back"]),
    "without a release": ([lambda shop: shop.deploy("b")], go_back, take_a_step, None, ["rolled_back"]),
}


@pytest.mark.parametrize("way", WAYS)
def test_killed_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str):
    before, act, resume, drawn, events = WAYS[way]
    monkeypatch.setattr(control, "pay", lambda settings, spec: None)
    seen = ArmData(Answers(400), Answers(400), (drawn,) if drawn else (), 1)
    monkeypatch.setattr(control, "read", lambda *given: seen)

    def prepared(name: str) -> Shop:
        shop = Shop(Settings(home=tmp_path / name, shop="simulated", threads=1))
        shop.deploy("a")
        for earlier in before:
            earlier(shop)
        return shop

    whole = prepared("whole")
    start = serving(whole)
    act(whole)
    end = serving(whole)
    assert whole.events == events
    lives: list[Shop] = []
    for moment in killed_at_each_step(lambda n: lives.append(prepared(f"killed{n}")), lambda: act(lives[-1])):
        shop = lives[-1]
        assert serving(shop) in {start, end}, f"at moment {moment}"
        if serving(shop) == start != end and resume is not act:
            act(shop)  # nothing had happened: a person would do it again
        resume(shop)
        assert serving(shop) == end, f"after moment {moment}"
        assert [event for event in shop.events if event != "advanced"] == events, f"after moment {moment}"
        _same_end(shop, whole, moment)
    assert moment > 4


def _same_end(shop: Shop, whole: Shop, moment: int) -> None:
    """Nothing is told twice, and what is blocked is blocked."""
    ended = [(entry["version"], entry.get("blocks", False)) for entry in shop.entries if entry["event"] in ENDS]
    assert ended == [(e["version"], e.get("blocks", False)) for e in whole.entries if e["event"] in ENDS], moment
    owed, wanted = (each.folder / "serving" / "demotion.json" for each in (shop, whole))
    assert owed.exists() == wanted.exists(), moment
    assert (progress(shop.settings, NAME) is None) == (progress(whole.settings, NAME) is None), moment


def test_an_advance_that_was_killed_is_in_the_journal_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spec = small_spec(steps=(0.2, 0.5), shadow_answers=0)
    seen = ArmData(Answers(400), Answers(1600), (Drawn(0.2, 100, 400, 30, 120, 1, 0),), 1)
    monkeypatch.setattr(control, "read", lambda *given: seen)
    lives: list[Shop] = []

    def prepare(moment: int) -> None:
        lives.append(Shop(Settings(home=tmp_path / str(moment), shop="simulated", threads=1)))
        lives[-1].deploy("a")
        begin(lives[-1].settings, spec, lives[-1].version("b").path, "test")

    for moment in killed_at_each_step(prepare, lambda: step(lives[-1].settings, spec)):
        shop = lives[-1]
        assert shop.release is not None, moment
        progress(shop.settings, NAME)
        advanced = shop.release.share == 0.5
        assert shop.events == ["begun", *(["advanced"] if advanced else [])], moment
        assert shop.entries[-1]["changed_at"] == shop.release.changed_at.isoformat(), moment
    assert advanced
