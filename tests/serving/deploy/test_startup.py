"""What serves after a start: the pointer's version, an earlier one, the built-in one, popularity, or the reason."""

import json

import pytest

from ml_assets.registry.pointer import pointer_path
from serving.config import ServiceConfig
from serving.http.runtime import Runtime
from serving.model import fallback
from serving.schemas import Refusal

CONFIG = ServiceConfig(model_name="ranker", feature_service="product_recommender")
BODY = b'{"customer": "u1", "k": 3}'


@pytest.fixture
def start(shop, monkeypatch):
    """Start a worker's runtime in this process; `built_in`: the pointer to what its bento holds."""
    running = []

    def make(built_in=None, settings=None):
        monkeypatch.setattr(ServiceConfig, "built_in", lambda config, settings: built_in)
        runtime = Runtime(CONFIG, settings or shop.settings)
        running.append(runtime)
        runtime.start()
        return runtime

    yield make
    for runtime in running:
        runtime.stop()


def spoil(version):
    version.booster_file.write_bytes(b"half a copy")


def answer(runtime):
    reply = runtime.recommend.handle(BODY)
    assert reply.status == 200
    return reply.body


def test_the_pointer_wins_over_everything_older(shop, start):
    shop.point(shop.pointer(shop.version(1)))
    shop.point(shop.pointer(shop.version(2), deployment=1))
    runtime = start(built_in=shop.pointer(shop.version(3)))
    assert answer(runtime)["model_version"] == shop.version(2).version
    ready = runtime.ready()
    assert (ready.status, ready.body["status"], ready.body["problem"]) == (200, "ready", None)


def test_the_newest_earlier_version_that_is_whole_serves_when_the_pointers_is_corrupt(shop, start):
    versions = [shop.version(level) for level in (1, 2, 3)]
    for deployment, version in enumerate(versions):
        shop.point(shop.pointer(version, deployment))
    spoil(versions[2])
    spoil(versions[1])
    runtime = start(built_in=shop.pointer(shop.version(0)))
    body = answer(runtime)
    assert (body["model_version"], body["degraded"]) == (versions[0].version, [])
    ready = runtime.ready()
    assert ready.status == 200
    assert "is not what was deployed" in ready.body["problem"]


@pytest.mark.parametrize("text", ["", "{", '{"model_version": "x"}'])
def test_a_broken_pointer_file_leaves_what_was_deployed_last(shop, start, text):
    shop.point(shop.pointer(shop.version(1)))
    pointer_path(shop.settings, "ranker").write_text(text)
    assert answer(start())["model_version"] == shop.version(1).version


def test_the_built_in_version_serves_when_nothing_deployed_can(shop, start):
    shop.point(shop.pointer(shop.version(2), model_sha256="0" * 64))
    runtime = start(built_in=shop.pointer(shop.version(1)))
    assert answer(runtime)["model_version"] == shop.version(1).version
    assert runtime.ready().body["built_in"]
    assert "is not what was deployed" in runtime.ready().body["problem"]


def test_a_history_that_was_altered_stops_nobody(shop, start):
    shop.point(shop.pointer(shop.version(1), model_sha256="0" * 64))
    pointer_path(shop.settings, "ranker").with_name("history.jsonl").write_text('{"previous": "?"}\n')
    assert answer(start(built_in=shop.pointer(shop.version(2))))["model_version"] == shop.version(2).version


def test_without_an_online_store_a_model_serves_marked_answers(shop, start):
    shop.point(shop.pointer(shop.version(1)))
    shop.settings.online_store.unlink()
    body = answer(start(built_in=shop.pointer(shop.version(1))))
    version = shop.version(1).version
    assert (body["model_version"], body["degraded"], len(body["products"])) == (version, ["features"], 3)


def test_without_any_model_popularity_answers_and_says_so(shop, start):
    from ml_assets.retrieval.index import RetrievalIndex

    popular = fallback.from_index(RetrievalIndex.load(shop.index_folder))
    fallback.save(popular, fallback.popular_path(shop.settings, "ranker"))
    broken = shop.pointer(shop.version(1), model_version="another")
    runtime = start(built_in=broken)
    body = answer(runtime)
    assert body["products"] == list(popular.products[:3])
    assert (body["model_version"], body["degraded"]) == ("popular", ["model"])
    ready = runtime.ready()
    assert (ready.status, ready.body["status"], ready.body["model_version"]) == (200, "popularity only", "popular")
    assert "nothing has been deployed" in ready.body["problem"]
    assert "another" in ready.body["problem"]


def test_with_nothing_at_all_it_is_a_503_with_the_reason(shop, start):
    runtime = start(built_in=shop.pointer(shop.version(1), model_version="another"))
    ready = runtime.ready()
    assert ready.status == 503
    for reason in ("nothing has been deployed", "another", "popularity cannot serve"):
        assert reason in ready.body["reason"]
    reply = runtime.recommend.handle(BODY)
    assert (reply.status, "nothing has been deployed" in reply.body["error"]) == (503, True)
    with pytest.raises(Refusal) as caught:
        runtime.recommend.handle(b'{"customer": 1}')
    assert caught.value.status == 422


def test_a_version_that_heals_is_taken_up_from_popularity(shop, start, monkeypatch):
    pointer = shop.pointer(shop.version(1))
    kept = pointer.booster.read_bytes()
    spoil(shop.version(1))
    shop.point(pointer)
    runtime = start()
    follower = runtime.follower
    follower.stop()
    assert runtime.ready().status == 503
    pointer.booster.write_bytes(kept)
    follower.poll()
    assert follower.serving.champion is None, "it waits before it tries again"
    monkeypatch.setattr(follower.pointer, "retry_at", 0.0)
    follower.poll()
    assert follower.serving.champion.pointer == pointer
    assert runtime.ready().body["problem"] is None


def test_a_live_service_takes_no_time_and_a_replay_does(shop, start):
    shop.point(shop.pointer(shop.version(1)))
    body = json.dumps({"customer": "u1", "time": "2026-01-02T03:04:05+01:00"}).encode()
    with pytest.raises(Refusal) as caught:
        start().recommend.handle(body)
    assert caught.value.fields[0][0] == "time"
    assert "ML_ASSETS_REPLAY=true" in caught.value.fields[0][1]
    replaying = start(settings=shop.settings.model_copy(update={"replay": True}))
    assert replaying.recommend.handle(body).status == 200
