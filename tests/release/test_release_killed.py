"""Killed at any moment: what serves is right at once, and the next look completes the account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from release_traffic import NAME, Shop, small_spec

from ml_assets.registry import journal
from ml_assets.registry.pointer import require_pointer
from ml_assets.registry.release import Stage
from ml_assets.release import begin, control, progress, roll_back, step
from ml_assets.release.observed import Answers, ArmData, Drawn
from ml_assets.settings import Settings

SPEC = small_spec(steps=(0.5,), shadow_answers=0)
GOOD = Drawn(0.5, 400, 400, 200, 190, 1, 0)
BAD = Drawn(0.5, 400, 400, 20, 190, 1, 0)
ENDS = {"promoted", "rolled_back", "held", "stopped"}


class Killed(BaseException):
    """The process is gone."""


@contextmanager
def killed_at(moment: int) -> Iterator[None]:
    """Be killed at the n-th moment before or after anything is written, replaced or removed."""
    left = [moment]

    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any, **named: Any) -> Any:
            if str(given[0]).endswith(".tmp") and len(given) == 1:
                return real(*given, **named)
            _tick(left)
            said = real(*given, **named)
            _tick(left)
            return said

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", around(Path.replace))
        patch.setattr(Path, "unlink", around(Path.unlink))
        patch.setattr(journal, "append", around(journal.append))
        yield


def _tick(left: list[int]) -> None:
    left[0] -= 1
    if left[0] == 0:
        raise Killed


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
    moments = 0
    while True:
        moments += 1
        shop = prepared(f"killed{moments}")
        try:
            with killed_at(moments):
                act(shop)
        except Killed:
            assert serving(shop) in {start, end}, f"at moment {moments}"
            if serving(shop) == start != end and resume is not act:
                act(shop)  # nothing had happened: a person would do it again
            resume(shop)
            assert serving(shop) == end, f"after moment {moments}"
            assert [event for event in shop.events if event != "advanced"] == events, f"after moment {moments}"
            _same_end(shop, whole, moments)
        else:
            break
    assert moments > 4


def _same_end(shop: Shop, whole: Shop, moment: int) -> None:
    """Nothing is told twice, and what is blocked is blocked."""
    ended = [(entry["version"], entry.get("blocks", False)) for entry in shop.entries if entry["event"] in ENDS]
    assert ended == [(e["version"], e.get("blocks", False)) for e in whole.entries if e["event"] in ENDS], moment
    owed, wanted = (each.folder / "serving" / "demotion.json" for each in (shop, whole))
    assert owed.exists() == wanted.exists(), moment
    assert (progress(shop.settings, NAME) is None) == (progress(whole.settings, NAME) is None), moment


def test_an_advance_that_was_killed_is_in_the_journal_afterwards(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    spec = small_spec(steps=(0.2, 0.5), shadow_answers=0)
    seen = ArmData(Answers(400), Answers(1600), (Drawn(0.2, 100, 400, 30, 120, 1, 0),), 1)
    monkeypatch.setattr(control, "read", lambda *given: seen)
    begin(shop.settings, spec, shop.version("b").path, "test")
    with pytest.raises(Killed), killed_at(2):
        step(shop.settings, spec)
    assert shop.release is not None
    assert (shop.release.stage, shop.release.share) == (Stage.CANARY, 0.5)
    assert shop.events == ["begun"]
    progress(shop.settings, NAME)
    assert shop.events == ["begun", "advanced"]
    assert shop.entries[-1]["changed_at"] == shop.release.changed_at.isoformat()
