"""A release on the running service: arms, sticky customers, shadow lines, and the end of it at once."""

import json

import pytest
from log_lines import wait_until
from served_shop import HELD_BACK

from ml_assets.registry.release import Stage, bucket

CUSTOMERS = [f"visitor {number}" for number in range(120)]


def arms(server, ask):
    asked = {customer: ask(customer=customer, k=1).json()["prediction_id"] for customer in CUSTOMERS}
    return {customer: server.line(prediction_id=name)["arm"] for customer, name in asked.items()}


def expected(release, share):
    def arm(customer):
        if bucket("ranker:holdback", customer) < 0.1:
            return "holdback"
        return "canary" if release.place(customer) < share else "champion"

    return {customer: arm(customer) for customer in CUSTOMERS}


def test_each_customer_stays_in_the_arm_that_the_share_gives_and_the_end_is_immediate(server, ask):
    with server.releasing(challenger=1, stage=Stage.CANARY, share=0.2) as release:
        assert arms(server, ask) == expected(release, 0.2)
        server.advance(release.model_copy(update={"share": 0.5}))
        assert arms(server, ask) == expected(release, 0.5)
        canary = next(name for name, arm in expected(release, 0.5).items() if arm == "canary")
        assert ask(customer=canary).json()["model_version"] == release.model_version
        server.shop.release_file.unlink()
        body = ask(customer=canary).json()  # the very next request, whatever the follower has seen by then
        assert body["model_version"] == release.champion_version
        line = server.line(prediction_id=body["prediction_id"])
        assert (line["arm"], line["release_id"]) == ("champion", None)


def test_a_canary_answer_is_logged_with_the_release_and_the_challengers_features(server, ask):
    with server.releasing(challenger=2, stage=Stage.CANARY, share=1.0) as release:
        body = ask(customer="u1").json()
        line = server.line(prediction_id=body["prediction_id"])
        assert (line["arm"], line["release_id"]) == ("canary", release.release_id)
        assert line["model_version"] == body["model_version"] == release.model_version
        again = server.versions[2].booster().predict(line["features"])
        assert line["scores"] == pytest.approx(list(again), abs=1e-5)
        counted = f'recommend_answers_total{{arm="canary",version="{release.model_version}"}}'
        assert server.metric(counted) >= 1
        assert server.metric('release_stage{stage="canary"}') == 1
        assert server.metric("release_share") == 1


def test_a_shadow_scores_the_same_request_unseen(server, ask):
    with server.releasing(challenger=3, stage=Stage.SHADOW) as release:
        body = ask(customer="u2", k=4, time="2026-03-01T12:00:00Z").json()
        seen = server.line(prediction_id=body["prediction_id"])
        assert (seen["arm"], body["model_version"]) == ("champion", release.champion_version)
        unseen = server.line(prediction_id=f"{body['prediction_id']}-shadow")
        assert (unseen["arm"], unseen["model_version"]) == ("shadow", release.model_version)
        same = ("time", "customer", "k", "session", "candidates", "as_of", "index", "release_id", "served_by", "ranked")
        assert {name: unseen[name] for name in same} == {name: seen[name] for name in same}
        again = server.versions[3].booster().predict(unseen["features"])
        assert unseen["scores"] == pytest.approx(list(again), abs=1e-5)
        assert unseen["latency_ms"] > 0
        held = ask(customer=HELD_BACK).json()["prediction_id"]
        assert server.line(prediction_id=held)["release_id"] == release.release_id
        assert server.lines(prediction_id=f"{held}-shadow") == []


def test_a_challenger_that_cannot_load_is_named_and_the_champion_answers(server, ask):
    server.serve(0, deployment=900)
    champion, challenger = server.versions[:2]
    broken = server.shop.release(champion, challenger, Stage.CANARY, 1.0).model_copy(update={"model_sha256": "0" * 64})
    failures = server.metric(f'challenger_failures_total{{version="{challenger.version}"}}')
    try:
        server.advance(broken)
        body = ask(customer="u1").json()
        assert (body["model_version"], body["degraded"]) == (champion.version, ["challenger"])
        assert server.line(prediction_id=body["prediction_id"])["arm"] == "champion"
        assert "other bytes" in server.ready()["release_problem"]
        assert server.metric(f'challenger_failures_total{{version="{challenger.version}"}}') == failures + 1
        assert server.metric("release_share") == 0
    finally:
        server.shop.release_file.unlink()
        wait_until(lambda: server.ready()["release"] is None)
    assert ask(customer="u1").json()["degraded"] == []


def test_the_holdback_is_shown_what_is_popular_and_logged_without_features(server, ask):
    server.serve(0, deployment=901)
    body = ask(customer=HELD_BACK, k=3).json()
    line = server.line(prediction_id=body["prediction_id"])
    assert (line["arm"], body["model_version"], body["degraded"]) == ("holdback", "popular", [])
    assert (line["features"], line["features_id"]) == ([], None)
    assert (line["sources"], line["propensities"]) == ([["popular"]] * 3, [1.0] * 3)
    assert [len(line["products"]), len(line["categories"]), line["positions"]] == [3, 3, [1, 2, 3]]


def test_nothing_public_says_who_is_in_the_canary_or_what_it_is_drawn_by(server, ask):
    """Whoever knew could report clicks for one arm alone."""
    server.serve(0, deployment=902)
    release = server.shop.release(*server.versions[:2], Stage.CANARY, 0.5)
    release = release.model_copy(update={"release_id": "r-2026-03-02", "salt": "5a17" * 8})
    try:
        server.advance(release)
        said = [ask(customer=customer).json() for customer in CUSTOMERS[:20]]
        assert all("arm" not in body and "release_id" not in body for body in said)
        assert set(server.ready()["release"]) == {"model_version", "stage", "share"}
        pages = [server.client.get(page).text for page in ("/readyz", "/metrics", "/livez", "/")]
        pages += [json.dumps(body) for body in said]
        server.shop.release_file.write_text(release.model_dump_json().replace('"canary"', '"canaries"'))
        wait_until(lambda: server.ready()["release_problem"])
        pages.append(server.client.get("/readyz").text)
        assert [page for page in pages if release.salt in page or release.release_id in page] == []
    finally:
        server.shop.release_file.unlink()
        wait_until(lambda: server.ready()["release"] is None)
