"""Loading: what does not fit is refused before it serves."""

import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from serving_shop import change_rows

from ml_assets.registry.pointer import PointerError, pointer_path
from ml_assets.registry.release import Release, Stage
from ml_assets.registry.versions import CorruptedVersionError, publish_version
from serving.model.loaded import LoadError
from serving.model.loader import last_good, load, load_baked, load_challenger
from serving.model.scorer import FEATURES, score
from serving.schemas import RecommendRequest

NOW = datetime(2026, 3, 2, tzinfo=UTC)
SERVICE = "product_recommender"
REQUEST = RecommendRequest(customer="u1")


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
    with pytest.raises(LoadError, match="cannot be read"):
        load(pointer, SERVICE)


def test_an_unchanged_index_is_taken_over(shop):
    first = load(shop.pointer(shop.version(1)), SERVICE)
    assert load(shop.pointer(shop.version(2)), SERVICE, first).index is first.index


def test_a_file_that_is_not_what_was_deployed_is_refused(shop):
    with pytest.raises(PointerError):
        load(shop.pointer(shop.version(1), model_sha256="0" * 64), SERVICE)


@pytest.fixture
def deployed_once(shop):
    pointer = shop.pointer(shop.version(1))
    return pointer, pointer.booster.read_bytes()


@given(place=st.floats(0, 1, exclude_max=True), value=st.binary(max_size=3))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_to_a_model_file_is_served(shop, deployed_once, place, value):
    pointer, kept = deployed_once
    at = int(place * len(kept))
    damaged = kept[:at] + value
    assume(damaged != kept)
    pointer.booster.write_bytes(damaged)
    with pytest.raises(PointerError, match="is not what was deployed"):
        load(pointer, SERVICE)


def test_a_store_that_has_kept_failing_stays_left_alone_when_the_model_is_swapped(shop):
    first = load(shop.pointer(shop.version(1)), SERVICE)
    breaker = first.reader.store.breaker
    second = load(shop.pointer(shop.version(2)), SERVICE, first, feature_timeout_ms=70)
    assert second.reader.store.breaker is breaker
    assert second.reader.store.timeout_seconds == 0.07
    other = shop.settings.home / "other"
    shutil.copytree(shop.settings.online_store.parent, other)
    third = load(shop.pointer(shop.version(1), online_store=other / "online.db"), SERVICE, second)
    assert third.reader.store.breaker is not breaker


@pytest.mark.parametrize("spoiled", ["online.db", "service.json"])
def test_a_store_that_broke_while_serving_is_no_reason_to_refuse_another_version(shop, spoiled):
    first = load(shop.pointer(shop.version(1)), SERVICE)
    path = shop.settings.online_store.with_name(spoiled)
    kept = path.read_bytes()
    path.write_bytes(b"not what it was" * 100)
    second = load(shop.pointer(shop.version(2)), SERVICE, first, feature_timeout_ms=5000)
    assert score(second, REQUEST, 5).degraded == [FEATURES]
    wrong = republish(shop, shop.version(1), (*shop.features[:-1], "derived__no_such"))
    with pytest.raises(LoadError, match="derived__no_such"):
        load(shop.pointer(wrong), SERVICE, first)
    path.write_bytes(kept)
    assert score(second, REQUEST, 5).degraded == []


def test_a_store_that_holds_no_numbers_is_refused_but_for_who_may_do_without(shop):
    change_rows(shop.settings.online_store, "customer", lambda table, row: "much")
    with pytest.raises(LoadError, match="cannot be read"):
        load(shop.pointer(shop.version(1)), SERVICE)
    assert load_baked(shop.pointer(shop.version(1)), SERVICE).baked


@pytest.mark.parametrize("spoiled", ["online.db", "service.json"])
@pytest.mark.parametrize("gone", [True, False])
def test_the_built_in_version_serves_without_a_store_and_takes_it_up_when_it_comes(shop, spoiled, gone):
    path = shop.settings.online_store.with_name(spoiled)
    kept = path.read_bytes()
    if gone:
        path.unlink()
    else:
        path.write_bytes(b"not what it was" * 100)
    loaded = load_baked(shop.pointer(shop.version(1)), SERVICE, feature_timeout_ms=5000)
    assert loaded.baked
    answer = score(loaded, REQUEST, 5)
    assert (answer.degraded, len(answer.products)) == ([FEATURES], 5)
    path.write_bytes(kept)
    assert score(loaded, REQUEST, 5).degraded == []


def release(version, **changes):
    return Release(
        release_id="r1",
        model_name="ranker",
        champion_version="c",
        model_version=version.version,
        model_path=version.path,
        model_sha256=version.sha256,
        stage=Stage.SHADOW,
        share=0.0,
        started_at=NOW,
        changed_at=NOW,
    ).model_copy(update=changes)


def test_a_challenger_answers_from_the_champions_data(shop):
    champion = load(shop.pointer(shop.version(1)), SERVICE)
    challenger = load_challenger(champion, release(shop.version(3)))
    assert challenger.index is champion.index
    assert challenger.reader is champion.reader
    assert challenger.pointer.now == champion.pointer.now
    assert challenger.pointer.model_version == shop.version(3).version
    assert score(challenger, REQUEST, 5).scores.min() > 2.5 > score(champion, REQUEST, 5).scores.max()


def test_a_challenger_that_does_not_fit_is_refused(shop):
    champion, second = load(shop.pointer(shop.version(1)), SERVICE), shop.version(2)
    wrong = republish(shop, second, ("retrieval__of_tomorrow", *shop.features[1:]))
    with pytest.raises(LoadError, match="retrieval__of_tomorrow"):
        load_challenger(champion, release(wrong))
    with pytest.raises(LoadError, match="other bytes"):
        load_challenger(champion, release(second, model_sha256="0" * 64))
    with pytest.raises(LoadError, match="not another"):
        load_challenger(champion, release(second, model_version="another"))
    with pytest.raises(FileNotFoundError):
        load_challenger(champion, release(second, model_path=shop.settings.home / "gone"))
    second.booster_file.write_text("tree")
    with pytest.raises(CorruptedVersionError):
        load_challenger(champion, release(second))


def deployed(shop, *levels):
    pointers = [shop.pointer(shop.version(level), deployment) for deployment, level in enumerate(levels)]
    for pointer in pointers:
        shop.point(pointer)
    return pointer_path(shop.settings, "ranker"), pointers


def test_the_newest_deployment_before_that_is_whole_is_found(shop):
    path, pointers = deployed(shop, 1, 2, 3)
    assert last_good(path, SERVICE).pointer == pointers[1]
    pointers[1].booster.write_text("tree")
    assert last_good(path, SERVICE).pointer == pointers[0]
    path.write_text("{")
    assert last_good(path, SERVICE).pointer == pointers[2], "the pointer does not read: all were before"
    path.unlink()
    assert last_good(path, SERVICE).pointer == pointers[2]


def test_as_many_deployments_as_allowed_are_tried_and_equal_ones_once(shop):
    path, pointers = deployed(shop, 1, 2, 3, 3, 3, 0)
    pointers[2].booster.write_text("tree")
    assert last_good(path, SERVICE, tries=2).pointer == pointers[1]
    with pytest.raises(LoadError, match="no deployment before") as caught:
        last_good(path, SERVICE, tries=1)
    assert str(caught.value).count("is not what was deployed") == 1
    pointers[1].booster.write_text("tree")
    pointers[0].booster.write_text("tree")
    with pytest.raises(LoadError, match="no deployment before") as caught:
        last_good(path, SERVICE)
    assert str(caught.value).count("is not what was deployed") == 3


def test_no_history_is_told(shop):
    with pytest.raises(LoadError, match="there is none"):
        last_good(pointer_path(shop.settings, "ranker"), SERVICE)
