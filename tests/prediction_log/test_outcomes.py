"""Outcomes: what the shop reports, or what the raw events say happened soon after, credited to one answer."""

import os
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from answer_lines import DAY, NAME, Log, outcome, prediction, spec
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ml_assets.config.settings import Settings
from ml_assets.prediction_log import collect, publish_day
from ml_assets.storage.warehouse import WarehouseError

MINUTES = 60
FLAGS = ("clicked", "carted", "purchased")


def write_events(settings: Settings, events: list[tuple[datetime, str, str, str]]) -> None:
    """A warehouse with events of (time, customer, product, type)."""
    settings.warehouse.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute(
            "create table stg_events "
            "(event_ts timestamp, event_day date, customer_id text, product_id text, event_type text)"
        )
        if events:
            rows = [(time, time.date(), *rest) for time, *rest in events]
            connection.executemany("insert into stg_events values (?, ?, ?, ?, ?)", rows)


def flags(log: Log, outcomes: str) -> dict[tuple[str, str], tuple[bool, ...]]:
    """By answer and product: clicked, carted, purchased."""
    collect(log.settings, NAME)
    path = publish_day(log.settings, spec(outcomes, MINUTES), DAY.date()).path / "shown.parquet"
    rows = pq.read_table(path).to_pylist()
    return {(row["prediction_id"], row["product_id"]): tuple(row[name] for name in FLAGS) for row in rows}


def test_feedback_counts_for_the_answer_it_names(log):
    log.write(
        prediction("a1"), prediction("a2"), prediction("a2-shadow", arm="shadow"),
        outcome("a1", "p1", "click"), outcome("a1", "p1", "purchase", hour=70.0), outcome("a2", "p2", "cart"),
        outcome("a2", "p2", "cart"), outcome("a2", "p7", "click"), outcome("a9", "p1", "click"),
        outcome("a2-shadow", "p1", "click"),
    )  # fmt: skip
    none = (False, False, False)
    assert flags(log, "feedback") == {
        ("a1", "p1"): (True, False, True), ("a1", "p2"): none,
        ("a2", "p1"): none, ("a2", "p2"): (True, True, False),
        ("a2-shadow", "p1"): none, ("a2-shadow", "p2"): none,
    }  # fmt: skip


def test_feedback_that_comes_later_is_known_in_the_next_publication(log):
    log.write(prediction("a1", 23.5))
    assert flags(log, "feedback")["a1", "p1"] == (False, False, False)
    log.write(outcome("a1", "p1", "purchase", hour=24.5))
    assert flags(log, "feedback")["a1", "p1"] == (True, False, True)


def test_events_that_cannot_be_read_stop_the_publication(log, settings):
    log.write(prediction("a1"))
    collect(settings, NAME)
    with pytest.raises(WarehouseError, match="no warehouse"):
        publish_day(settings, spec("events"), DAY.date())


MOMENT = st.integers(-70, 1510)
"""Minutes since midnight, near both ends of the day most of all."""
NEAR = st.one_of(MOMENT, st.integers(-70, 80), st.integers(1370, 1510))
ANSWERS = st.lists(
    st.tuples(NEAR, st.sampled_from(["u1", "u2"]), st.sampled_from([("p1", "p2"), ("p2", "p3"), ("p1",)]),
              st.sampled_from(["champion", "champion", "shadow", "fallback"])),
    max_size=12,
)  # fmt: skip
EVENTS = st.lists(
    st.tuples(NEAR, st.sampled_from(["u1", "u2", "u3"]), st.sampled_from(["p1", "p2", "p3"]),
              st.sampled_from(["view", "cart", "purchase"])),
    max_size=25,
)  # fmt: skip


@given(ANSWERS, EVENTS)
@example([(0, "u1", ("p1",), "champion"), (10, "u1", ("p1",), "shadow")], [(60, "u1", "p1", "cart")])
@example([(0, "u1", ("p1",), "champion")], [(0, "u1", "p1", "view"), (61, "u1", "p1", "cart")])
@example(
    [(1439, "u1", ("p1",), "champion"), (1445, "u1", ("p1",), "champion")],
    [(1440, "u1", "p1", "view"), (1446, "u1", "p1", "cart")],
)
@example([(5, "u1", ("p1",), "champion"), (5, "u1", ("p1", "p2"), "champion")], [(6, "u1", "p1", "view")])
@hypothesis_settings(max_examples=25, deadline=None)
def test_an_event_counts_for_the_newest_answer_that_showed_the_product_before_it(answers, events):
    expected = {}
    named = [(f"a{number:02}", *answer) for number, answer in enumerate(answers)]
    for name, minute, _, products, _ in named:
        if 0 <= minute < 1440:
            expected |= {(name, product): [False] * 3 for product in products}
    for minute, customer, product, event_type in events:
        before = [
            (asked, name) for name, asked, who, products, arm in named
            if arm != "shadow" and who == customer and product in products and asked < minute
        ]  # fmt: skip
        if before and minute - max(before)[0] <= MINUTES and (max(before)[1], product) in expected:
            flagged = expected[max(before)[1], product]
            flagged[0] = True
            flagged[1] |= event_type == "cart"
            flagged[2] |= event_type == "purchase"
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)  # nobody pulls the plug here
        log = Log(Settings(home=Path(home), shop="simulated"))
        write_events(log.settings, [(DAY + timedelta(minutes=minute), *rest) for minute, *rest in events])
        log.write(
            *(
                prediction(name, minute / 60, customer=who, products=list(products), arm=arm)
                for name, minute, who, products, arm in named
            )
        )
        assert flags(log, "events") == {key: tuple(flagged) for key, flagged in expected.items()}
