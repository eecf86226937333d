"""Shadow scoring: bounded, never in the way, and over when the release is."""

import threading
from datetime import UTC, datetime

import pytest
from log_lines import wait_until

from serving.model.exchange import RequestContext
from serving.model.loader import load
from serving.model.shadow import Shadow
from serving.schemas import RecommendRequest

ASKED = RequestContext("0" * 32, RecommendRequest(customer="u1"), 3, datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def challenger(parts, tmp_path_factory):
    from served_shop import copy_of

    shop = copy_of(parts, tmp_path_factory.mktemp("shadowed"))
    return load(shop.pointer(shop.version(2)), "product_recommender")


@pytest.fixture
def dropped():
    return []


def test_what_does_not_fit_into_the_queue_is_dropped_and_counted(challenger, dropped):
    release, logged = threading.Event(), []
    shadow = Shadow(
        lambda line: (release.wait(10), logged.append(line)), "here", capacity=3, dropped=lambda: dropped.append(1)
    )
    for _ in range(50):
        shadow.put(ASKED, challenger, "r1")
    assert len(dropped) >= 46
    release.set()
    wait_until(lambda: len(logged) == 50 - len(dropped))
    shadow.close()
    assert {(line["arm"], line["release_id"], line["served_by"]) for line in logged} == {("shadow", "r1", "here")}


def test_what_waits_when_the_release_ends_is_not_scored(challenger, dropped):
    logged = []
    shadow = Shadow(logged.append, "here", wanted=lambda: False, dropped=lambda: dropped.append(1))
    shadow.put(ASKED, challenger, "r1")
    wait_until(lambda: dropped)
    shadow.close()
    assert logged == []


def test_a_challenger_that_cannot_score_is_counted_and_the_next_request_is_tried(challenger):
    from dataclasses import replace

    logged, failed = [], []
    shadow = Shadow(logged.append, "here", failed=failed.append)
    shadow.put(ASKED, replace(challenger, booster=None), "r1")
    shadow.put(ASKED, challenger, "r1")
    wait_until(lambda: logged)
    shadow.close()
    assert failed == [challenger.pointer.model_version]
    assert logged[0]["prediction_id"] == "0" * 32 + "-shadow"
