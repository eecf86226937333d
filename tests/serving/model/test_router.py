"""Who answers: arms are sticky, a challenger never harms, and somebody answers as long as anybody can."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.registry.release import STALE, Arm, Stage, bucket
from serving.config import ServiceConfig
from serving.model import fallback
from serving.model.loader import load
from serving.model.router import Router, Serving
from serving.schemas import RecommendRequest, Refusal, SessionEvent

CONFIG = ServiceConfig(model_name="ranker", feature_service="product_recommender", holdback=0.1)
REQUEST = RecommendRequest(customer="u1")
HELD_BACK = RecommendRequest(customer="u13")


class Broken:
    """A booster that cannot predict."""

    def predict(self, *args, **kwargs):
        raise RuntimeError("out of order")


@pytest.fixture(scope="module")
def serving(parts, tmp_path_factory):
    """A champion, a challenger, what is popular, and a release for half the customers."""
    from served_shop import copy_of

    shop = copy_of(parts, tmp_path_factory.mktemp("routed"))
    first, second = shop.version(1), shop.version(2)
    champion = load(shop.pointer(first), CONFIG.feature_service)
    challenger = load(shop.pointer(second), CONFIG.feature_service, champion)
    release = shop.release(first, second, Stage.CANARY, 0.5)
    return Serving(champion, fallback.from_index(champion.index), release, challenger)


def route(serving, request=REQUEST, *, config=CONFIG, under_way=True, k=5, failed=lambda version: None):
    return Router(config, lambda: under_way, failed).answer(serving, request, k, seed=7)


def staged(serving, stage, share=0.0):
    return replace(serving, release=serving.release.model_copy(update={"stage": stage, "share": share}))


def broken(loaded):
    return replace(loaded, booster=Broken())


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_the_arm_depends_on_the_customer_alone_and_stays_when_the_share_grows(serving, customer, one, other):
    low, high = sorted((one, other))
    router = Router(CONFIG, lambda: True)
    release = serving.release
    arms = [router.arm_of(release.model_copy(update={"share": share}), customer) for share in (low, low, high)]
    assert arms[0] is arms[1]
    if bucket("ranker:holdback", customer) < CONFIG.holdback:
        assert set(arms) == {Arm.HOLDBACK}
    else:
        assert [arm is Arm.CANARY for arm in arms] == [release.place(customer) < share for share in (low, low, high)]
        assert arms[0] is not Arm.CANARY or arms[2] is Arm.CANARY


@pytest.mark.parametrize(("age", "known_to_the_end", "named"), [(35, False, []), (37, False, [STALE]), (37, True, [])])
def test_features_older_than_promised_degrade_the_answer(serving, monkeypatch, age, known_to_the_end, named):
    pointer = serving.champion.pointer
    monkeypatch.setattr("serving.model.router.time.time", lambda: pointer.now + age * 3600)
    last_day = pointer.as_of.date() - timedelta(days=1 if known_to_the_end else 0)
    config = CONFIG.model_copy(update={"max_feature_age_hours": 36.0, "last_day": last_day})
    assert route(replace(serving, release=None), config=config).answer.degraded == named


def test_champion_and_canary_answer_with_their_own_scores(serving):
    for share, arm, loaded in ((0.0, Arm.CHAMPION, serving.champion), (1.0, Arm.CANARY, serving.challenger)):
        answered = route(staged(serving, Stage.CANARY, share))
        assert (answered.arm, answered.loaded, answered.shadow) == (arm, loaded, None)
        assert answered.model_version == loaded.pointer.model_version
        assert answered.release_id == serving.release.release_id
        own = loaded.booster.predict(answered.answer.features)
        assert np.allclose(answered.answer.scores, own, atol=1e-6)


def test_in_the_shadow_stage_the_champion_answers_and_the_challenger_is_to_score_unseen(serving):
    answered = route(staged(serving, Stage.SHADOW))
    assert (answered.arm, answered.shadow) == (Arm.CHAMPION, serving.challenger)
    assert route(staged(serving, Stage.SHADOW), HELD_BACK).shadow is None


def test_a_release_that_ended_meanwhile_is_over(serving):
    answered = route(staged(serving, Stage.CANARY, 1.0), under_way=False)
    assert (answered.arm, answered.release_id) == (Arm.CHAMPION, None)
    assert route(staged(serving, Stage.SHADOW), under_way=False).shadow is None


def test_the_holdback_sees_what_is_popular(serving):
    answered = route(serving, HELD_BACK)
    answer = answered.answer
    assert (answered.arm, answered.model_version, answered.features) == (Arm.HOLDBACK, "popular", None)
    assert tuple(answer.products) == serving.popular.products[:5]
    assert (answer.degraded, answer.customer_known) == ([], True)
    assert answered.pointer == serving.champion.pointer


def test_a_challenger_that_fails_leaves_the_answer_to_the_champion_and_is_counted(serving):
    failed = []
    canary = staged(serving, Stage.CANARY, 1.0)
    for challenger in (None, broken(serving.challenger)):
        answered = route(replace(canary, challenger=challenger), failed=failed.append)
        assert answered.arm is Arm.CHAMPION
        assert answered.answer.degraded == ["challenger"]
        assert answered.answer.products == route(replace(serving, release=None)).answer.products
    assert failed == [serving.release.model_version] * 2


def test_without_a_model_that_can_answer_popularity_does(serving):
    for champion in (None, broken(serving.champion)):
        answered = route(Serving(champion, serving.popular))
        assert (answered.arm, answered.answer.degraded) == (Arm.FALLBACK, ["model"])
        assert tuple(answered.answer.products) == serving.popular.products[:5]


def test_when_champion_and_challenger_fail_the_answer_names_both(serving):
    lost = Serving(None, serving.popular, staged(serving, Stage.CANARY, 1.0).release)
    assert route(lost).answer.degraded == ["challenger", "model"]


def test_when_nobody_can_answer_it_is_a_503(serving):
    with pytest.raises(Refusal) as caught:
        route(Serving(broken(serving.champion)))
    assert caught.value.status == 503
    assert route(replace(serving, popular=None), HELD_BACK).arm is Arm.CHAMPION


def test_popularity_ranks_the_candidates_named_and_lists_what_nobody_knows(serving):
    popular, index = serving.popular.products, serving.champion.index
    least = next(product for product in reversed(index.products) if product not in popular[:5])
    session = [SessionEvent(product="never seen", event_type="view")]
    request = HELD_BACK.model_copy(update={"candidates": ["no-such", least, popular[0]], "session": session})
    answer = route(serving, request).answer
    assert answer.products == [popular[0], least]
    assert answer.unknown_products == ["never seen", "no-such"]
    nothing = route(serving, HELD_BACK.model_copy(update={"candidates": ["no-such"]})).answer
    assert (nothing.products, nothing.degraded) == ([], ["candidates"])


def test_exploration_draws_the_last_position_as_often_as_the_model_asks(serving):
    router = Router(CONFIG.model_copy(update={"exploration": 0.5}), lambda: False)
    last = [router.answer(serving, REQUEST, 3, seed).answer.propensities[-1] for seed in range(200)]
    drawn = sum(propensity < 0.5 for propensity in last)
    assert 70 < drawn < 130
    assert {propensity for propensity in last if propensity >= 0.5} == {0.5}


def test_a_champion_that_fails_is_known_until_it_answers_again(serving):
    router = Router(CONFIG, lambda: False)
    failing = replace(serving, champion=broken(serving.champion), release=None, challenger=None)
    assert router.answer(failing, REQUEST, 5, seed=7).arm is Arm.FALLBACK
    assert router.fault is not None
    assert serving.champion.pointer.model_version in router.fault
    router.answer(failing, HELD_BACK, 5, seed=7)
    assert router.fault is not None, "the holdback says nothing about the model"
    router.answer(replace(failing, champion=serving.champion), REQUEST, 5, seed=7)
    assert router.fault is None
