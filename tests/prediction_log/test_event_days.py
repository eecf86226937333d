"""Days of predicted events: collected like lists, labelled by the spine as far as it knows."""

from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from answer_lines import DAY, NAME, Log, event, event_spec, prediction, refusal

from ml_assets.config.settings import Settings
from ml_assets.prediction_log import Kind, account, collect, day_folder, due_again, open_days, publish_day
from ml_assets.storage.warehouse import WarehouseError

TODAY = DAY.date()


def know(settings: Settings, **labels: float | None) -> None:
    """Put what became of events into the spine; their ids are numbers there where they look like it."""
    settings.warehouse.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(settings.warehouse)) as made:
        made.execute("create table if not exists mart_events (event_id varchar, happened_at timestamp, label integer)")
        for name, label in labels.items():
            made.execute("delete from mart_events where event_id = $1", [f"e-{name}"])
            made.execute("insert into mart_events values ($1, $2, $3)", [f"e-{name}", DAY, label])


def published(log: Log, settings: Settings) -> Any:
    collect(settings, NAME)
    return publish_day(settings, event_spec(), TODAY)


def rows(settings: Settings, table: str = "shown", day: Any = TODAY) -> list[dict[str, Any]]:
    return pq.read_table(day_folder(settings, NAME, day) / f"{table}.parquet").to_pylist()


def test_an_event_is_one_answer_and_one_scored_row(log: Log, settings: Settings):
    log.write(event("a1", probability=0.25), refusal(), event("a2", features="two", event=None))
    know(settings, a1=1)
    table = published(log, settings)
    assert (table.predictions, table.shown, table.refusals) == (2, 2, 1)
    assert table.outcomes == {"named": 1, "labelled": 1}
    first, second = rows(settings, "predictions")
    assert (first["event"], first["keys"], first["request"]) == ("e-a1", '{"place":"here"}', '{"size":2.5}')
    assert (first["value"], first["known"], second["event"]) == (0.25, True, None)
    scored, unnamed = rows(settings)
    assert (scored["score"], scored["label"], scored["retrieval__own"], scored["product__price"]) == (
        0.25,
        1.0,
        1,
        None,
    )
    assert (unnamed["label"], unnamed["x__y"], unnamed["retrieval__own"]) == (None, 4.0, None)
    assert account(settings, NAME, TODAY).ok


def test_labels_that_arrive_or_change_make_their_days_due_again(log: Log, settings: Settings):
    log.write(*(event(f"a{number}", hour=24 * number) for number in range(4)))
    know(settings, a0=0)
    collect(settings, NAME)
    days = [TODAY + timedelta(number) for number in range(4)]
    for day in days:
        publish_day(settings, event_spec(), day)
    tomorrow = days[-1] + timedelta(1)
    assert due_again(settings, event_spec(), tomorrow) == []
    know(settings, a0=1, a2=0, a3=None)
    assert due_again(settings, event_spec(), tomorrow) == [days[0], days[2]]
    for day in (days[0], days[2]):
        publish_day(settings, event_spec(), day)
    assert [rows(settings, day=day)[0]["label"] for day in days] == [1.0, None, 0.0, None]
    assert due_again(settings, event_spec(), tomorrow) == []


def test_the_same_event_asked_twice_has_its_label_twice(log: Log, settings: Settings):
    log.write(event("a1"), event("a2", event="e-a1"), event("a1"))
    know(settings, a1=1)
    table = published(log, settings)
    assert (table.predictions, table.duplicates, table.outcomes["labelled"]) == (2, 1, 2)


def test_labels_need_the_warehouse_only_where_there_are_events(log: Log, settings: Settings):
    log.write(refusal())
    assert published(log, settings).refusals == 1
    log.write(event("a1"))
    collect(settings, NAME)
    with pytest.raises(WarehouseError):
        publish_day(settings, event_spec(), TODAY)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"probability": None}, "probability"),
        ({"keys": ["here"]}, "keys"),
        ({"request": {"size": "large"}}, "request.size"),
        ({"features": [[1.0, 2.0], [1.0, 2.0]]}, "1 rows"),
        ({"known": "yes"}, "known"),
    ],
)
def test_bad_events_are_kept_with_their_reason(log: Log, settings: Settings, changes: dict[str, Any], reason: str):
    log.write({**event("a1"), **changes}, event("a2"))
    assert collect(settings, NAME).bad == 1
    assert log.ids() == ["a2"]
    [bad] = log.rows(Kind.BAD)
    assert reason in bad["reason"]


def test_views_over_no_day_have_the_columns_of_both_kinds(settings: Settings):
    with open_days(settings, NAME, [TODAY]) as connection:
        assert connection.sql("select event, label, clicked, customer_id from shown").fetchall() == []
        assert connection.sql("select event, value, session from predictions").fetchall() == []


def test_both_kinds_in_one_hour_are_collected(log: Log, settings: Settings):
    log.write(prediction("a1"), event("a2"))
    assert collect(settings, NAME).predictions == 2
    assert sorted(log.ids()) == ["a1", "a2"]
    assert len(log.rows(Kind.SHOWN)) == 3
    assert account(settings, NAME, datetime(2026, 3, 2).date()).ok
