"""The log becomes parts: every kind of line, good and bad, and nothing before its time."""

import json
import os
import shutil
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from answer_lines import DAY, NAME, Log, dump, outcome, prediction, refusal

from ml_assets.prediction_log import Kind, account, collect, hour_counts, part_files, uncollected
from ml_assets.prediction_log.collect import TORN, Collected
from ml_assets.prediction_log.partitions import parts_home
from ml_assets.storage.log_layout import Rotation
from serving.log.prediction_log import PredictionLog

COLLECT = sys.modules["ml_assets.prediction_log.collect"]  # the package names its function so
DEAD = "20260302T000000000000-999999999"
ALIVE = f"20260302T000000000000-{os.getpid()}"
NEWER = f"20260302T000100000000-{os.getpid()}"


def quiet(log: Log, seconds: float = 60.0) -> None:
    """Nobody has written for a while."""
    for path in log.folder.glob("*.jsonl"):
        moment = datetime.now().timestamp() - seconds
        os.utime(path, (moment, moment))


def test_the_services_own_log_arrives_whole(log, settings):
    for half in (range(20), range(20, 40)):  # the worker is started again in between
        service = PredictionLog(log.folder, rotation=Rotation(max_bytes=1))
        for number in half:
            features = ("customer__age", "product__price") if number % 2 else None
            values = [[number, None], [0.1, 2]] if features else []
            record = prediction(f"a{number}", hour=number / 2, feature_names=features)
            del record["features_id"]
            service.put(record | {"features": values}, outcome(f"a{number}"), refusal())
            if number % 10 == 5:
                collect(settings, NAME)
        service.close()
    collect(settings, NAME)
    assert log.ids() == [f"a{number}" for number in range(40)]
    shown = log.rows(Kind.SHOWN)
    assert [row["customer__age"] for row in shown[:4]] == [None, None, 1.0, pytest.approx(0.1)]
    assert [row["product__price"] for row in shown[:4]] == [None, None, None, 2.0]
    assert (len(shown), len(log.rows(Kind.OUTCOMES)), len(log.rows(Kind.REFUSALS))) == (80, 40, 40)
    assert account(settings, NAME, DAY.date()).ok


def test_every_field_is_kept(log, settings):
    log.write(
        prediction(
            "a7", 9.5, arm="canary", release_id="r1", candidates=["p1", "p3"], degraded=["features"],
            unknown_products=["p3"], time="2026-03-02T11:30:00.000001+02:00",
        ),
        outcome("a7", "p2", "cart"),
        refusal(422),
    )  # fmt: skip
    assert collect(settings, NAME) == Collected(predictions=1, outcomes=1, refusals=1, bad=0, new_parts=1)
    time = DAY + timedelta(hours=9, minutes=30, microseconds=1)
    answer = {
        "prediction_id": "a7", "time": time, "as_of": DAY, "model_version": "v1",
        "arm": "canary", "customer_id": "u1", "segment": DEAD, "line": 0,
    }  # fmt: skip
    assert log.rows(Kind.PREDICTIONS) == [
        answer | {
            "logged_at": DAY + timedelta(hours=9.5), "index": "0" * 12, "release_id": "r1", "customer_known": True,
            "k": 2, "session": '[["p9","view"]]', "candidates": ["p1", "p3"], "ranked": 200, "degraded": ["features"],
            "unknown_products": ["p3"], "served_by": "bento:1/77", "latency_ms": 3.5,
        }
    ]  # fmt: skip
    del answer["as_of"]
    shown = {"category_id": "c1", "propensity": 1.0, "sources": ["own", "popular"], "product__price": None}
    assert log.rows(Kind.SHOWN) == [
        answer | shown | {"position": 1, "product_id": "p1", "score": 0.0, "retrieval__own": 7.0},
        answer | shown | {"position": 2, "product_id": "p2", "score": -1.0, "retrieval__own": 7.25},
    ]
    (found,) = log.rows(Kind.OUTCOMES)
    assert (found["product_id"], found["event_type"], found["time"]) == ("p2", "cart", DAY + timedelta(hours=13))
    (refused,) = log.rows(Kind.REFUSALS)
    assert (refused["status"], refused["latency_ms"], refused["error"]) == (422, 1.0, "no")


BAD = {
    "no json": (b"{nonsense\n", "no JSON"),
    "not utf-8": (b'{"kind": "refusal", "error": "\xff"}\n', "no JSON"),
    "no object": (b"[1, 2]\n", "no JSON object"),
    "empty": (b"\n", "no JSON"),
    "kind": (dump({"kind": "other"}), "unknown kind: none of prediction"),
    "keys": (dump({"kind": "outcome", "prediction_id": "a1"}), "product: Field required"),
    "time": (dump(refusal() | {"time": "yesterday"}), "time: "),
    "seconds": (dump(refusal() | {"time": 1772000000}), "time: "),
    "beyond time": (dump(refusal() | {"time": "0001-01-01T00:00:00+02:00"}), "time: "),
    "type": (dump(prediction("a1", k="many")), "k: "),
    "names": (dump(prediction("a1") | {"features_id": "three"}), "unknown features_id: no features-<id>.json"),
    "elsewhere": (dump(prediction("a1") | {"features_id": "../one"}), "unknown features_id"),
    "no names": (dump(prediction("a1") | {"features_id": None}), "features without features_id"),
    "shape": (dump(prediction("a1") | {"features": [[1.0, 2.0]]}), "features: (1, 2), but 2 rows and 2 names"),
    "ragged": (dump(prediction("a1") | {"features": [[1.0, 2.0], [1.0]]}), "features: "),
    "words": (dump(prediction("a1") | {"features": [["x", 2.0], [1.0, 2.0]]}), "features: "),
    "huge": (dump(prediction("a1") | {"features": [[10**400, 2.0], [1.0, 2.0]]}), ""),
    "lengths": (dump(prediction("a1", scores=[1.0])), "2 products, but 2 categories, 2 positions, 1 scores"),
}


def test_bad_lines_are_kept_with_their_reason_and_stop_nothing(log, settings):
    with log.write(prediction("a1")).open("ab") as opened:
        opened.write(b"".join(raw for raw, _ in BAD.values()))
    log.write(prediction("a2"))
    collected = collect(settings, NAME)
    assert (collected.predictions, collected.bad) == (2, len(BAD))
    assert log.ids() == ["a1", "a2"]
    for row, (name, (raw, reason)) in zip(log.rows(Kind.BAD), BAD.items(), strict=True):
        assert row["raw"] == raw, name
        assert reason in row["reason"], name
    counts = hour_counts(settings, NAME, datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
    assert counts == {"predictions": 0, "shown": 0, "outcomes": 0, "refusals": 0, "bad": len(BAD)}
    assert account(settings, NAME, DAY.date()).ok


def test_names_that_would_hide_a_column_are_refused(log, settings):
    for features_id, names in {"twice": ["a__b", "A__b"], "hides": ["score", "a__b"], "odd": {"a": 1}}.items():
        (log.folder / f"features-{features_id}.json").write_text(json.dumps(names))
        log.write(prediction("a1") | {"features_id": features_id})
    assert collect(settings, NAME).bad == 3
    assert all("features_id" in row["reason"] for row in log.rows(Kind.BAD))


def test_answers_without_products_and_of_two_models_lie_together(log, settings):
    log.write(
        prediction("a1", products=[]),
        prediction("a2", features="two"),
        prediction("a3", features=None),
        prediction("a4", products=["p1"]),
    )
    collect(settings, NAME)
    assert log.ids() == ["a1", "a2", "a3", "a4"]
    shown = log.rows(Kind.SHOWN)
    assert [row["prediction_id"] for row in shown] == ["a2", "a2", "a3", "a3", "a4"]
    assert [row["x__y"] for row in shown] == [4.0, 4.25, None, None, None]
    assert [row["retrieval__own"] for row in shown] == [None, None, None, None, 4.0]


def test_lines_go_to_the_hour_of_their_time_however_odd(log, settings):
    log.write(*(refusal(500) | {"time": time} for time in ("1970-01-01T00:59:59", "2199-12-31T23:00:00Z")))
    log.write(prediction("a1", 0.0), prediction("a2", 23.999), prediction("a3", 24.0))
    collect(settings, NAME)
    assert [path.stem for path in part_files(settings, NAME, Kind.REFUSALS)] == [
        "refusals-1970-01-01T00",
        "refusals-2199-12-31T23",
    ]
    found = part_files(settings, NAME, Kind.SHOWN, DAY, DAY + timedelta(days=1))
    assert [path.stem for path in found] == ["shown-2026-03-02T00", "shown-2026-03-02T23"]
    utc = DAY.replace(tzinfo=UTC)
    assert hour_counts(settings, NAME, utc, utc + timedelta(hours=1))["predictions"] == 1
    assert hour_counts(settings, NAME, utc, utc + timedelta(days=1, minutes=1))["shown"] == 6


@pytest.mark.parametrize(
    ("case", "settled"),
    [
        ((DEAD, None, 60), True),
        ((DEAD, None, 1), False),
        ((ALIVE, None, 60), False),
        ((ALIVE, NEWER, 60), True),
        ((ALIVE, NEWER, 1), False),
        ((ALIVE, None, 3600), True),
        (("anything", None, 60), False),
        (("anything", None, 3600), True),
    ],
)  # fmt: skip
def test_a_torn_end_is_bad_once_nobody_can_complete_it_and_not_before(log, settings, case, settled):
    segment, newer, seconds = case
    torn = dump(prediction("a2"))[:-30]
    path = log.write(prediction("a1"), segment=segment)
    with path.open("ab") as opened:
        opened.write(torn)
    if newer:
        log.write(refusal(), segment=newer)
    quiet(log, seconds)
    for _ in range(2):
        collect(settings, NAME)
        assert log.ids() == ["a1"]
        assert [(row["reason"], row["raw"]) for row in log.rows(Kind.BAD)] == [(TORN, torn)] * settled
    assert uncollected(settings, NAME) == (0 if settled else len(torn))
    assert account(settings, NAME, DAY.date()).ok


def test_a_torn_line_that_is_completed_is_an_answer(log, settings):
    line = dump(prediction("a1"))
    path = log.write(segment=ALIVE)
    for start, stop in pairwise((0, 50, len(line) - 1, len(line))):
        with path.open("ab") as opened:
            opened.write(line[start:stop])
        quiet(log)
        collect(settings, NAME)
    assert log.ids() == ["a1"]
    assert not log.rows(Kind.BAD)


def test_a_long_segment_becomes_several_parts(log, settings, monkeypatch):
    monkeypatch.setattr(COLLECT, "BATCH_BYTES", 1500)
    log.write(*(prediction(f"a{number}") for number in range(10)))
    collected = collect(settings, NAME)
    assert (collected.predictions, collected.new_parts) == (10, 4)
    assert log.ids() == [f"a{number}" for number in range(10)]


def test_a_part_that_was_removed_is_collected_again(log, settings, monkeypatch):
    monkeypatch.setattr(COLLECT, "BATCH_BYTES", 500)
    log.write(*(prediction(f"a{number}") for number in range(6)))
    collect(settings, NAME)
    first, second, *_ = sorted(
        (parts_home(settings, NAME) / DEAD).iterdir(), key=lambda part: int(part.name.split("-")[0])
    )
    shutil.rmtree(second)
    assert len(log.ids()) == 5
    assert collect(settings, NAME).predictions == 1
    assert first.exists()
    assert log.ids() == [f"a{number}" for number in range(6)]


def test_without_a_log_there_is_nothing(settings):
    assert collect(settings, NAME).text == "nothing new in the prediction log"
    assert uncollected(settings, NAME) == 0
    assert account(settings, NAME, DAY.date()).ok
