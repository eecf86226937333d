"""The daily tables: every answer once, sorted, the same bytes again, and never a missing day."""

import os
import sys
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from answer_lines import DAY, NAME, Log, outcome, prediction, refusal, spec

from ml_assets.prediction_log import account, collect, day_folder, days_with_traffic, open_days, publish_day

DAILY = sys.modules["ml_assets.prediction_log.daily_tables"]
COLLECT = sys.modules["ml_assets.prediction_log.collect"]
TODAY = DAY.date()
TABLES = ("predictions", "shown", "refusals")


def tables(folder) -> dict[str, bytes]:
    return {name: (folder / f"{name}.parquet").read_bytes() for name in TABLES}


def fill(log: Log) -> None:
    log.write(
        prediction("b2", 12.0),
        prediction("a1", 12.0, features="two"),
        prediction("c3", 8.0, arm="shadow"),
        prediction("d4", 23.99, features=None, arm="fallback"),
        prediction("e5", 24.0),
        refusal(503, 9.0),
        refusal(422, 8.0),
        outcome("b2", "p2", "cart"),
    )


def test_a_day_has_its_answers_sorted_with_every_models_features(log, settings):
    fill(log)
    collect(settings, NAME)
    table = publish_day(settings, spec(), TODAY)
    assert (table.predictions, table.shown, table.refusals, table.duplicates) == (4, 8, 2, 0)
    assert table.outcomes == {"clicked": 1, "carted": 1, "purchased": 0}
    assert table.path == day_folder(settings, NAME, TODAY)
    answers = pq.read_table(table.path / "predictions.parquet")
    assert answers["prediction_id"].to_pylist() == ["c3", "a1", "b2", "d4"]
    assert "segment" not in answers.column_names
    shown = pq.read_table(table.path / "shown.parquet")
    assert shown.column_names[11:] == [
        *("clicked", "carted", "purchased"), "customer__orders", "product__price", "retrieval__own", "x__y",
    ]  # fmt: skip
    assert shown["prediction_id"].to_pylist() == ["c3", "c3", "a1", "a1", "b2", "b2", "d4", "d4"]
    assert shown["position"].to_pylist() == [1, 2] * 4
    assert shown["retrieval__own"].to_pylist() == [3.0, 3.25, None, None, 2.0, 2.25, None, None]
    assert shown["clicked"].to_pylist() == [False] * 5 + [True] + [False] * 2
    assert pq.read_table(table.path / "refusals.parquet")["status"].to_pylist() == [422, 503]


def test_the_same_lines_make_the_same_bytes_however_they_were_collected(log, settings, monkeypatch, tmp_path):
    fill(log)
    collect(settings, NAME)
    at_once = tables(publish_day(settings, spec(), TODAY).path)
    link = day_folder(settings, NAME, TODAY)
    version = link.resolve()
    publish_day(settings, spec(), TODAY)
    assert link.resolve() == version
    other = Log(settings.model_copy(update={"home": tmp_path / "other"}))
    monkeypatch.setattr(COLLECT, "BATCH_BYTES", 1)
    fill(other)
    collect(other.settings, NAME)
    assert tables(publish_day(other.settings, spec(), TODAY).path) == at_once


def test_row_groups_do_not_depend_on_how_the_lines_came(log, settings, monkeypatch):
    merge = sys.modules["ml_assets.prediction_log.merge"]
    monkeypatch.setattr(merge, "ROW_GROUP", 3)
    log.write(*(prediction(f"a{hour}", hour) for hour in range(4)))
    collect(settings, NAME)
    path = publish_day(settings, spec(), TODAY).path / "shown.parquet"
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [3, 3, 2]


def test_of_an_answer_that_was_logged_twice_the_first_counts(log, settings):
    log.write(
        prediction("a1", 12.0, logged_at="2026-03-02T12:00:02", products=["p9"]),
        prediction("a1", 12.0, logged_at="2026-03-02T12:00:01", products=["p1", "p2"]),
        prediction("a1", 14.0, logged_at="2026-03-02T12:00:03", products=["p8"]),
        outcome("a1", "p1"),
        outcome("a1", "p9"),
    )
    log.write(prediction("a1", 12.0, logged_at="2026-03-02T12:00:01"), segment="20260302T000000000001-7")
    collect(settings, NAME)
    table = publish_day(settings, spec(), TODAY)
    assert (table.predictions, table.shown, table.outcomes["clicked"], table.duplicates) == (1, 2, 1, 3)
    assert pq.read_table(table.path / "shown.parquet")["product_id"].to_pylist() == ["p1", "p2"]
    assert account(settings, NAME, TODAY).ok


def test_days_are_opened_together_whatever_they_have(log, settings):
    log.write(prediction("a1"), prediction("b2", 36.0, features="two"), refusal(hour=60.0))
    collect(settings, NAME)
    days = [TODAY + timedelta(days=number) for number in range(4)]
    for day in days[:3]:
        publish_day(settings, spec(), day)
    assert days_with_traffic(settings, NAME, days[0], days[-1]) == days[:2]
    with open_days(settings, NAME, [*days, days[0]]) as connection:
        rows = connection.sql("select prediction_id, retrieval__own, x__y from shown order by all").fetchall()
        assert rows == [("a1", 1.0, None), ("a1", 1.25, None), ("b2", None, 4.0), ("b2", None, 4.25)]
        assert connection.sql("select count(*) from predictions").fetchall() == [(2,)]
        assert connection.sql("select status from refusals").fetchall() == [(503,)]
        limit = connection.sql("select current_setting('threads')").fetchall()
        assert limit == [(settings.threads,)]
    with open_days(settings, NAME, [days[3]]) as connection:
        found = connection.sql("select p.customer_id, s.clicked from predictions p join shown s using (prediction_id)")
        assert found.fetchall() == []


def test_a_reader_keeps_the_version_it_opened(log, settings):
    log.write(prediction("a1"))
    collect(settings, NAME)
    publish_day(settings, spec(), TODAY)
    with open_days(settings, NAME, [TODAY]) as before:
        log.write(prediction("a2"), outcome("a1"))
        collect(settings, NAME)
        publish_day(settings, spec(), TODAY)
        count = "select count(*), count(*) filter (clicked) from shown join predictions using (prediction_id)"
        assert before.sql(count).fetchall() == [(2, 0)]
        with open_days(settings, NAME, [TODAY]) as after:
            assert after.sql(count).fetchall() == [(4, 1)]


def test_replaced_versions_are_removed_when_they_are_old(log, settings):
    log.write(prediction("a1"))
    collect(settings, NAME)
    first = publish_day(settings, spec(), TODAY).path.resolve()
    os.utime(first, (0, 0))
    publish_day(settings, spec(), date(2026, 3, 9))
    assert first.is_dir(), "old, but not replaced"
    log.write(prediction("a2"))
    collect(settings, NAME)
    second = publish_day(settings, spec(), TODAY).path.resolve()
    assert first.is_dir(), "replaced just now"
    os.utime(first, (0, 0))
    publish_day(settings, spec(), date(2026, 3, 9))
    assert (first.exists(), second.exists()) == (False, True)


@pytest.mark.parametrize(
    ("owner", "step"), [(DAILY, "merge_day"), (DAILY, "_keep"), (DAILY, "_point"), (Path, "replace"), (os, "utime")]
)
def test_a_publication_that_is_killed_leaves_the_day_as_it_was(log, settings, monkeypatch, owner, step):
    log.write(prediction("a1"))
    collect(settings, NAME)
    publish_day(settings, spec(), TODAY)
    folder = day_folder(settings, NAME, TODAY)
    before = tables(folder)
    log.write(prediction("a2"))
    collect(settings, NAME)

    def killed(*said):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, killed)
        with pytest.raises(KeyboardInterrupt):
            publish_day(settings, spec(), TODAY)
    assert tables(folder) == before
    assert publish_day(settings, spec(), TODAY).predictions == 2
    assert not list(folder.parent.rglob("*.tmp"))


def test_a_folder_of_somebody_elses_is_not_replaced(log, settings):
    other = day_folder(settings, NAME, TODAY)
    other.mkdir(parents=True)
    with pytest.raises(FileExistsError, match="something else wrote it"):
        publish_day(settings, spec(), TODAY)
    assert other.is_dir()


def test_a_day_without_anything_is_published_empty(log, settings):
    table = publish_day(settings, spec("events"), TODAY)
    assert (table.predictions, table.shown, table.outcomes["clicked"], table.refusals) == (0, 0, 0, 0)
    assert days_with_traffic(settings, NAME, TODAY, TODAY) == []
