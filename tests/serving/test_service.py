"""The running service, over HTTP: answers, refusals, the log, the metrics."""

import json
import time
from typing import Any

import httpx
import pytest
from log_lines import wait_until

from ml_assets.registry.pointer import sha256_folder

ANSWER = {
    "prediction_id",
    "model_version",
    "customer",
    "customer_known",
    "products",
    "scores",
    "unknown_products",
    "degraded",
    "feedback_token",
}

LINE = {
    "kind", "prediction_id", "time", "logged_at", "as_of", "model_version", "index", "arm", "release_id",
    "customer", "customer_known", "k", "session", "candidates", "ranked", "products", "categories", "positions",
    "scores", "propensities", "sources", "features_id", "features", "unknown_products", "degraded", "served_by",
    "latency_ms",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _first_version(server):
    server.serve(0, deployment=100)


def known_products(ask, k=5):
    return ask(customer="u1", k=k).json()["products"]


def test_a_known_customer_gets_k_products_best_first(ask, server):
    answer = ask(customer="u1", k=7)
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == ANSWER
    assert len(set(body["products"])) == len(body["scores"]) == 7
    assert body["scores"] == sorted(body["scores"], reverse=True)
    assert body["model_version"] == server.versions[0].version
    assert (body["customer_known"], body["unknown_products"], body["degraded"]) == (True, [], [])


def test_the_models_k_counts_when_none_is_given(ask):
    assert len(ask(customer="u1").json()["products"]) == 10


def test_an_unknown_customer_is_answered_and_marked(ask):
    body = ask(customer="a stranger").json()
    assert len(body["products"]) == 10
    assert body["customer_known"] is False


def test_unknown_products_of_the_session_are_listed_and_left_out(ask):
    seen = known_products(ask)[0]
    session = [{"product": seen, "event_type": "view"}, {"product": "no-such", "event_type": "cart"}]
    body = ask(customer="u1", session=session).json()
    assert body["unknown_products"] == ["no-such"]
    assert len(body["products"]) == 10


def test_candidates_restrict_what_is_ranked(ask):
    wanted = known_products(ask)[:3]
    body = ask(customer="u1", candidates=[*wanted, "no-such", wanted[0]]).json()
    assert sorted(body["products"]) == sorted(wanted)
    assert body["unknown_products"] == ["no-such"]


def test_only_unknown_candidates_give_an_empty_marked_answer(ask):
    body = ask(customer="u1", candidates=["no-such"]).json()
    assert (body["products"], body["scores"]) == ([], [])
    assert body["degraded"] == ["candidates"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "customer"),
        ([], 422, "body"),
        ({"customer": None}, 422, "customer"),
        ({"customer": 7}, 422, "customer"),
        ({"customer": ""}, 422, "customer"),
        ({"customer": "u" * 65}, 422, "customer"),
        ({"customer": "a\nb"}, 422, "customer"),
        ({"customer": "u1", "k": 0}, 422, "k"),
        ({"customer": "u1", "k": 101}, 422, "k"),
        ({"customer": "u1", "k": "5"}, 422, "k"),
        ({"customer": "u1", "k": 5.0}, 422, "k"),
        ({"customer": "u1", "k": True}, 422, "k"),
        ({"customer": "u1", "K": 5}, 422, "K"),
        ({"customer": "u1", "session": {}}, 422, "session"),
        ({"customer": "u1", "session": [{"product": "p"}]}, 422, "session.0.event_type"),
        ({"customer": "u1", "session": [{"product": "p", "event_type": "buy"}]}, 422, "session.0.event_type"),
        ({"customer": "u1", "session": [{"product": 1, "event_type": "view"}]}, 422, "session.0.product"),
        (
            {"customer": "u1", "session": [{"product": "p", "event_type": "view", "x": 1}]},
            422,
            "session.0.x",
        ),
        (
            {"customer": "u1", "session": [{"product": "p", "event_type": "view"}] * 101},
            422,
            "session",
        ),
        ({"customer": "u1", "candidates": []}, 422, "candidates"),
        ({"customer": "u1", "candidates": ["p"] * 501}, 422, "candidates"),
        ({"customer": "u1", "candidates": ["p", 3]}, 422, "candidates.1"),
        ({"customer": "u1", "candidates": ["p" * 65]}, 422, "candidates.0"),
    ],
)
def test_a_bad_request_is_refused_and_the_field_is_named(server, body, status, field):
    answer = server.client.post("/recommend", json=body)
    assert answer.status_code == status
    assert field in [problem["field"] for problem in answer.json()["fields"]]


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"customer": "u1"', b"\xff\xfe", b'{"customer":"\\ud800"}'])
def test_what_is_no_json_is_a_400(server, body):
    answer = server.client.post("/recommend", content=body)
    assert answer.status_code == 400
    assert "JSON" in answer.json()["error"]


@pytest.mark.parametrize("size", [200_000, 20_000_000])
def test_an_oversize_body_is_a_413(server, size):
    answer = server.client.post("/recommend", content=b"x" * size)
    assert answer.status_code == 413
    assert "131072" in answer.json()["error"]


def test_an_oversize_body_of_no_declared_length_is_a_413(server):
    answer = server.client.post("/recommend", content=(b"x" * 10_000 for _ in range(50)))
    assert answer.status_code == 413


def test_the_wrong_method_is_a_405(server):
    answer = server.client.get("/recommend")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_health_says_what_serves(server):
    assert server.client.get("/livez").status_code == 200
    ready = server.client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["model_version"] == server.versions[0].version
    assert ready.json()["problem"] is None


def test_it_binds_to_the_loopback_address_only(server):
    import psutil

    workers = psutil.Process(server.handle.pid).children(recursive=True)
    listening = {
        connection.laddr.ip
        for process in [psutil.Process(server.handle.pid), *workers]
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_bentoml_still_answers_its_own_paths(server):
    assert server.client.get("/schema.json").json()["name"] == "ranker"
    assert server.client.get("/no-such-path").status_code == 404


def test_every_answer_is_logged_with_what_it_was_made_from(ask, server):
    seen = known_products(ask)
    body = ask(customer="u2", k=4, session=[{"product": seen[0], "event_type": "view"}]).json()
    record = server.line(prediction_id=body["prediction_id"])
    assert record["products"] == body["products"]
    assert record["positions"] == [1, 2, 3, 4]
    assert record["scores"] == pytest.approx(body["scores"])
    assert (record["model_version"], record["arm"]) == (body["model_version"], "champion")
    assert set(record) - {"feature_names"} == LINE
    assert record["index"] == sha256_folder(server.shop.index_folder)[:12]
    assert record["served_by"].startswith(f"{server.handle.tag}/")
    assert (record["release_id"], record["kind"]) == (None, "prediction")
    assert [len(record["categories"]), record["propensities"]] == [4, [1.0] * 4]
    assert record["session"] == [[seen[0], "view"]]
    assert (record["customer"], record["k"], record["candidates"]) == ("u2", 4, None)
    assert record["latency_ms"] > 0
    assert record["feature_names"] == list(server.shop.features)
    assert [len(row) for row in record["features"]] == [len(server.shop.features)] * 4
    assert all(sources for sources in record["sources"])


def test_the_logged_features_give_the_logged_scores(ask, server):
    import numpy as np

    record = server.line(prediction_id=ask(customer="u3").json()["prediction_id"])
    rows = np.array(record["features"], dtype=np.float32)
    again = server.versions[0].booster().predict(rows)
    assert np.allclose(again, record["scores"], atol=1e-6)


def test_every_refusal_is_logged_without_what_the_caller_wrote(ask, server):
    ask(customer="secret" * 20, candidates=[7])
    server.client.post("/recommend", content=b"secret")
    server.client.get("/recommend")
    server.client.post("/recommend", content=b"x" * 200_000)
    refusals: list[dict[str, Any]] = []

    def logged() -> bool:  # behind those of earlier tests, which may still be on their way
        refusals[:] = server.lines(kind="refusal")[-4:]
        return [line["status"] for line in refusals] == [422, 400, 405, 413]

    wait_until(logged)
    assert all(set(line) == {"kind", "time", "status", "latency_ms", "error"} for line in refusals)
    assert refusals[0]["error"] == "the request is not valid: customer, candidates.0"
    assert not any("secret" in line["error"] or len(line["error"]) > 200 for line in refusals)


def test_a_replayed_request_belongs_to_the_time_it_names(ask, server):
    body = ask(customer="u1", time="2026-02-28T23:30:00-01:00").json()
    line = server.line(prediction_id=body["prediction_id"])
    assert line["time"] == "2026-03-01T00:30:00+00:00"
    assert line["logged_at"] > line["time"]
    assert line["as_of"] == "2026-03-02T00:00:00"
    assert server.client.post("/recommend", json={"customer": "u1", "time": 1}).status_code == 422


def test_an_online_store_that_is_gone_degrades_answers_and_never_fails_one(ask, server):
    degraded = server.metric('recommend_degraded_total{part="features"}')
    store = server.shop.settings.online_store
    aside = store.rename(store.with_name("aside.db"))
    try:
        answers = [ask(customer="u1", k=3) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 5
        assert {tuple(answer.json()["degraded"]) for answer in answers} == {("features",)}
        assert server.metric('recommend_degraded_total{part="features"}') == degraded + 5
        assert server.metric("online_store_breaker") == 2
        assert server.line(prediction_id=answers[0].json()["prediction_id"])["degraded"] == ["features"]
    finally:
        aside.rename(store)
    wait_until(lambda: ask(customer="u1").json()["degraded"] == [])
    assert server.metric("online_store_breaker") == 0


def test_metrics_count_what_happened(ask, server):
    names = {
        "ok": 'recommend_requests_total{status="200"}',
        "refused": 'recommend_requests_total{status="422"}',
        "strangers": "recommend_unknown_customers_total",
        "unknown": "recommend_unknown_products_total",
        "timed": "recommend_seconds_count",
        "lines": "prediction_log_lines_total",
    }
    lines = -1.0
    while lines != (lines := server.metric(names["lines"])):  # what was asked before may still be written
        time.sleep(0.3)
    before = {key: server.metric(name) for key, name in names.items()}
    ask(customer="u1")
    ask(customer="a stranger", candidates=["no-such", "nor-this"])
    answer = ask(customer="u1", k=0)
    assert answer.status_code == 422
    deadline = time.monotonic() + 10
    while server.metric(names["lines"]) < before["lines"] + 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    after = {key: server.metric(name) - before[key] for key, name in names.items()}
    assert after == {"ok": 2, "refused": 1, "strangers": 1, "unknown": 2, "timed": 2, "lines": 3}
    assert server.metric("prediction_log_dropped_total") == 0
    assert server.metric(f'model_serving{{version="{server.versions[0].version}"}}') == 1


def test_a_disconnecting_client_hurts_nobody(server, ask):
    head = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    import socket

    url = httpx.URL(server.handle.url)
    for _ in range(5):
        with socket.create_connection((url.host, url.port)) as connection:
            connection.sendall(head)
    assert ask(customer="u1").status_code == 200


def test_json_is_what_the_answer_is(ask):
    answer = ask(customer="u1")
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.text) == answer.json()
