"""Loading: what does not fit is refused before it serves, and the built-in version is the last resort."""

import numpy as np
import pytest

from ml_assets.registry.pointer import PointerError, pointer_path
from ml_assets.registry.versions import publish_version
from serving.config import ServiceConfig
from serving.follower import Follower
from serving.loader import LoadError, load
from serving.runtime import Runtime
from serving.schemas import RecommendRequest
from serving.scorer import score

SERVICE = "product_recommender"
CONFIG = ServiceConfig(model_name="ranker", feature_service=SERVICE)
REQUEST = RecommendRequest(customer="u1")


def follower(shop, fallback=None, config=CONFIG):
    made = Follower(pointer_path(shop.settings, "ranker"), config, fallback=fallback)
    made.start()
    made.stop()
    return made


def republish(shop, version, features):
    return publish_version(
        shop.settings,
        "ranker",
        version.booster_file.read_text(),
        run_id="run",
        features=features,
        params={},
        training_set="none",
        metrics={},
        created_from={},
    )


def test_the_matrix_is_in_the_boosters_order_whatever_the_readers_order(shop):
    version = shop.version(1)
    straight = load(shop.pointer(version), SERVICE)
    turned = load(shop.pointer(republish(shop, version, shop.features[::-1])), SERVICE)
    first, second = score(straight, REQUEST, 200), score(turned, REQUEST, 200)
    rows = dict(zip(second.products, second.features[:, ::-1], strict=True))
    assert set(rows) == set(first.products)
    for product, row in zip(first.products, first.features, strict=True):
        assert np.array_equal(row, rows[product], equal_nan=True)


def test_scores_are_the_boosters_own(shop):
    version = shop.version(1)
    answer = score(load(shop.pointer(version), SERVICE), REQUEST, 20)
    assert np.allclose(answer.scores, version.booster().predict(answer.features), atol=1e-6)
    assert list(answer.scores) == sorted(answer.scores, reverse=True)


def test_a_feature_that_nobody_provides_is_named(shop):
    version = republish(shop, shop.version(1), (*shop.features[:-1], "derived__no_such"))
    with pytest.raises(LoadError, match="derived__no_such"):
        load(shop.pointer(version), SERVICE)


def test_a_booster_of_another_width_is_refused(shop):
    version = republish(shop, shop.version(1), shop.features[:-1])
    with pytest.raises(LoadError, match="columns"):
        load(shop.pointer(version), SERVICE)


def test_an_online_store_that_is_no_database_is_refused(shop):
    pointer = shop.pointer(shop.version(1))
    pointer.online_store.write_bytes(b"not a database" * 100)
    with pytest.raises(Exception, match=r"."):
        load(pointer, SERVICE)


def test_an_unchanged_index_is_taken_over(shop):
    first = load(shop.pointer(shop.version(1)), SERVICE)
    assert load(shop.pointer(shop.version(2)), SERVICE, first).index is first.index


def test_no_pointer_and_nothing_built_in_is_not_ready_and_says_why(shop):
    runtime = Runtime(CONFIG, shop.settings)
    runtime.start()
    try:
        status, said = runtime.ready()
        assert status == 503
        assert "nothing has been deployed" in said["reason"]
        status, said = runtime.recommend(b'{"customer": "u1"}')
        assert (status, "nothing has been deployed" in said["error"]) == (503, True)
        assert runtime.recommend(b'{"customer": 1}')[0] == 422
    finally:
        runtime.stop()


def test_the_built_in_version_serves_when_the_pointer_cannot(shop):
    good = shop.pointer(shop.version(1))
    shop.point(shop.pointer(shop.version(2), model_sha256="0" * 64))
    followed = follower(shop, fallback=good)
    assert followed.loaded.baked
    assert followed.status()["model_version"] == good.model_version
    assert "is not what was deployed" in followed.status()["problem"]


def test_the_pointer_wins_over_the_built_in_version(shop):
    pointed = shop.pointer(shop.version(2))
    shop.point(pointed)
    followed = follower(shop, fallback=shop.pointer(shop.version(1)))
    assert followed.loaded.pointer == pointed
    assert not followed.loaded.baked


def test_without_an_online_store_the_built_in_version_serves_marked_answers(shop):
    good = shop.pointer(shop.version(1), online_store=shop.settings.home / "gone" / "online.db")
    followed = follower(shop, fallback=good)
    answer = score(followed.loaded, REQUEST, 5)
    assert answer.degraded == ["features"]
    assert len(answer.products) == 5


def test_a_broken_built_in_version_is_not_ready_with_both_reasons(shop):
    broken = shop.pointer(shop.version(1), model_version="another")
    said = follower(shop, fallback=broken).status()
    assert said["status"] == "not ready"
    assert "nothing has been deployed" in said["reason"]
    assert "another" in said["reason"]


def test_an_online_store_that_fails_later_degrades_the_answer(shop):
    import sqlite3
    from dataclasses import replace

    class Failing:
        def __init__(self, reader):
            self.feature_names = reader.feature_names

        def read(self, *args):
            raise sqlite3.OperationalError("disk I/O error")

    loaded = load(shop.pointer(shop.version(1)), SERVICE)
    answer = score(replace(loaded, reader=Failing(loaded.reader)), REQUEST, 5)
    assert answer.degraded == ["features"]
    assert len(answer.products) == 5


def test_a_refused_pointer_is_tried_again_and_taken_up_when_it_heals(shop, monkeypatch):
    pointer = shop.pointer(shop.version(1))
    kept = pointer.booster.read_bytes()
    pointer.booster.write_bytes(b"half a copy")
    shop.point(pointer)
    made = Follower(pointer_path(shop.settings, "ranker"), CONFIG)
    made.poll()
    assert made.loaded is None
    pointer.booster.write_bytes(kept)
    made.poll()
    assert made.loaded is None, "it waits before it tries again"
    monkeypatch.setattr(made, "_retry_at", 0.0)
    made.poll()
    assert made.loaded.pointer == pointer
    assert made.problem is None


def test_a_pointer_of_another_model_is_refused(shop):
    shop.point(shop.pointer(shop.version(1), model_name="other"))
    assert "is for other" in follower(shop).status()["reason"]
    with pytest.raises(PointerError):
        load(shop.pointer(shop.version(1), model_sha256="0" * 64), SERVICE)
