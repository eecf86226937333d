"""The follower beside the pointer: a release is taken up, carried on and ended; a bad one harms nobody."""

from datetime import timedelta

import pytest
from served_shop import AS_OF

from ml_assets.registry.pointer import pointer_path
from ml_assets.registry.release import Stage, write_release
from serving.config import ServiceConfig
from serving.model.hot_reloader import HotReloader

CONFIG = ServiceConfig(model_name="ranker", feature_service="product_recommender")


@pytest.fixture
def seen():
    return []


@pytest.fixture
def follower(shop, seen):
    """A follower of the shop's pointer to version 1, polled by the test."""
    shop.point(shop.pointer(shop.version(1)))
    made = HotReloader(pointer_path(shop.settings, "ranker"), shop.release_file, CONFIG, observe=seen.append)
    made.poll()
    return made


def begin(shop, stage=Stage.CANARY, share=0.2, **changes):
    release = shop.release(shop.version(1), shop.version(2), stage, share).model_copy(update=changes)
    write_release(shop.release_file, release)
    return release


def test_a_release_is_taken_up_on_the_champions_data(shop, follower):
    release = begin(shop)
    follower.poll()
    serving = follower.serving
    assert serving.release == release
    assert serving.challenger.pointer.model_version == release.model_version
    assert serving.challenger.index is serving.champion.index
    assert follower.status()["release"] == {
        "model_version": release.model_version, "stage": "canary", "share": 0.2,
    }  # fmt: skip


def test_the_next_stage_keeps_the_loaded_challenger_and_removal_ends_it(shop, follower):
    begin(shop, Stage.SHADOW, 0.0)
    follower.poll()
    challenger = follower.serving.challenger
    begin(shop, Stage.CANARY, 0.5)
    follower.poll()
    assert follower.serving.challenger is challenger
    assert follower.serving.release.share == 0.5
    assert follower.under_way()
    shop.release_file.unlink()
    assert not follower.under_way()
    follower.poll()
    assert (follower.serving.release, follower.serving.challenger) == (None, None)
    assert follower.serving.champion is not None


def test_a_newer_index_or_now_of_the_champion_is_the_challengers_too(shop, follower):
    begin(shop)
    follower.poll()
    newer = shop.pointer(shop.version(1), 1, as_of=AS_OF + timedelta(days=1))
    shop.point(newer)
    follower.poll()
    assert follower.serving.champion.pointer == newer
    assert follower.serving.challenger.pointer.as_of == newer.as_of
    assert follower.serving.release is not None


def test_a_promotion_leaves_the_release_stale_until_it_is_removed(shop, follower):
    begin(shop)
    follower.poll()
    shop.point(shop.pointer(shop.version(2), 1))
    follower.poll()
    assert follower.serving.champion.pointer.model_version == shop.version(2).version
    assert follower.serving.release is None
    assert "is against" in follower.status()["release_problem"]
    shop.release_file.unlink()
    follower.poll()
    assert follower.status()["release_problem"] is None


BAD = {
    "another champion": ({"champion_version": "other"}, "is against other"),
    "another model": ({"model_name": "other"}, "is for other"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_release_that_does_not_apply_is_ignored(shop, follower, seen, what):
    changes, problem = BAD[what]
    champion = follower.serving.champion
    begin(shop, **changes)
    follower.poll()
    assert (follower.serving.champion, follower.serving.release) == (champion, None)
    assert problem in follower.status()["release_problem"]
    assert seen == ["loaded", "ignored"]


@pytest.mark.parametrize("text", ["", "{", '{"release_id": "x"}', "[]", "\x00"])
def test_a_broken_file_ends_the_release_and_the_champion_serves_everybody(shop, follower, seen, text):
    begin(shop)
    follower.poll()
    shop.release_file.write_text(text)
    follower.poll()
    assert (follower.serving.release, follower.serving.challenger) == (None, None)
    assert "is not usable" in follower.status()["release_problem"]
    assert seen == ["loaded", "release", "ignored", "release"]


def test_a_challenger_that_does_not_load_is_tried_again(shop, follower, seen, monkeypatch):
    challenger = shop.version(2)
    whole = challenger.booster_file.read_bytes()
    release = begin(shop)
    challenger.booster_file.write_bytes(b"half a copy")
    follower.poll()
    assert (follower.serving.release, follower.serving.challenger) == (release, None)
    assert "was altered" in follower.status()["release_problem"]
    challenger.booster_file.write_bytes(whole)
    follower.poll()
    assert follower.serving.challenger is None, "it waits before it tries again"
    monkeypatch.setattr(follower.release, "retry_at", 0.0)
    follower.poll()
    assert follower.serving.challenger.pointer.model_version == release.model_version
    assert follower.status()["release_problem"] is None
    assert seen == ["loaded", "unusable", "release", "release"]


def test_a_rejected_pointer_leaves_the_release_alone(shop, follower):
    release = begin(shop)
    follower.poll()
    before = follower.serving
    shop.point(shop.pointer(shop.version(3), model_sha256="0" * 64))
    follower.poll()
    assert follower.serving is before
    assert follower.serving.release == release


def test_nothing_new_changes_nothing(shop, follower, seen):
    begin(shop)
    follower.poll()
    before = follower.serving
    follower.poll()
    assert follower.serving is before
    assert seen == ["loaded", "release"]
