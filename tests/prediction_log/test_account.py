"""The books notice what was lost, doubled or put on the wrong day."""

import os
import shutil
import sys
import time
from datetime import timedelta

import pyarrow.parquet as pq
import pytest
from answer_lines import DAY, NAME, dump, outcome, prediction, refusal, spec

from ml_assets.prediction_log import Kind, account, collect, day_folder, part_files, publish_day
from ml_assets.prediction_log.partitions import parts_home

COLLECT = sys.modules["ml_assets.prediction_log.collect"]
TODAY = DAY.date()


@pytest.fixture
def books(log, settings):
    """Two days of lines, collected and published, and how to look at the first day's books."""
    log.write(*(prediction(f"a{number}", hour=number * 4.0) for number in range(12)), outcome("a1"), refusal())
    log.write(segment="20260302T000000000001-999999998").write_bytes(b"nonsense\n" + dump(refusal() | {"status": "x"}))
    collect(settings, NAME)
    publish_day(settings, spec(), TODAY)
    return lambda: account(settings, NAME, TODAY)


def test_books_that_balance_say_how_much(books):
    found = books()
    assert found.ok
    assert (found.lines, found.rows, found.segment_lines, found.segment_rows) == (9, 9, 16, 16)
    assert (found.answers, found.table, found.late) == (6, 6, 0)
    assert found.text.startswith("2026-03-02: 9 lines logged, 9 in the parts; 6 answers, 6 in the day's table; ")
    assert found.bad == 2
    assert "2 bad lines: put right what their `reason` says, then" in found.text


@pytest.mark.parametrize("kind", [Kind.PREDICTIONS, Kind.OUTCOMES, Kind.REFUSALS, Kind.BAD])
@pytest.mark.parametrize("change", ["lost", "twice"])
def test_a_row_that_is_lost_or_there_twice_is_noticed(books, settings, kind, change):
    path = part_files(settings, NAME, kind)[0]
    rows = pq.read_table(path)
    pq.write_table(rows.slice(1) if change == "lost" else rows.take([0, *range(len(rows))]), path)
    found = books()
    assert not found.ok
    assert found.segment_lines - found.segment_rows == (1 if change == "lost" else -1)


def test_a_segment_whose_rows_are_all_gone_is_noticed(books, settings):
    for kind in Kind:
        for path in part_files(settings, NAME, kind):
            path.unlink()
    found = books()
    assert (found.ok, found.lines, found.rows) == (False, 9, 0)


def test_a_file_under_another_day_is_noticed(books, settings):
    path = part_files(settings, NAME, Kind.PREDICTIONS)[0]
    path.rename(path.with_name("predictions-2026-03-03T00.parquet"))
    assert not books().ok


def test_lines_that_no_part_has_are_overlooked_only_if_they_were_there(books, log, settings):
    shutil.rmtree(next((parts_home(settings, NAME) / "20260302T000000000000-999999999").iterdir()))
    assert books().overlooked == 0, "the file changed as late as the collection: it may be younger"
    for path in log.folder.glob("*.jsonl"):
        os.utime(path, (time.time() - 60, time.time() - 60))
    found = books()
    assert found.overlooked == 8
    assert not found.ok
    assert "8 lines were not collected" in found.text


def test_the_days_table_is_compared_with_the_parts_it_was_made_from(books, log, settings):
    log.write(prediction("a99"))
    collect(settings, NAME)
    found = books()
    assert (found.ok, found.late) == (True, 1)
    assert "1 parts came after the table was published: publish the day again" in found.text
    path = day_folder(settings, NAME, TODAY) / "predictions.parquet"
    rows = pq.read_table(path)
    for changed in (rows.slice(1), rows.take([0, *range(len(rows))]), rows.take([0, 0, *range(2, len(rows))])):
        pq.write_table(changed, path)
        assert not books().ok


def test_a_day_that_is_not_published_says_so(log, settings):
    log.write(prediction("a1"))
    collect(settings, NAME)
    found = account(settings, NAME, TODAY)
    assert (found.ok, found.text) == (True, "2026-03-02: 1 lines logged, 1 in the parts; not published yet")


def test_a_collector_that_skips_lines_is_noticed(log, settings, monkeypatch):
    log.write(prediction("a1"), prediction("a2"))
    with monkeypatch.context() as patch:
        patch.setattr(COLLECT, "read_lines", lambda path, start, stop: list(_lines(path, start, stop))[1:])
        collect(settings, NAME)
    found = account(settings, NAME, TODAY)
    assert (found.ok, found.lines, found.rows) == (False, 2, 1)


_lines = COLLECT.read_lines


def test_other_days_and_removed_segments_do_not_matter(books, log, settings):
    later = account(settings, NAME, TODAY + timedelta(days=30))
    assert (later.ok, later.lines) == (True, 0)
    for path in log.folder.glob("*.jsonl"):
        path.unlink()
    found = books()
    assert (found.ok, found.lines, found.table) == (True, 0, 6)


def test_a_torn_end_is_no_bad_line_and_another_days_is_not_this_ones(log, settings):
    path = log.write(prediction("a1"))
    with path.open("ab") as opened:
        opened.write(b'{"kind": "prediction", "ti')
    log.write(refusal(hour=30) | {"status": "x"}, segment="20260303T000000000000-999999998")
    for each in log.folder.glob("*.jsonl"):
        os.utime(each, (time.time() - 60, time.time() - 60))
    assert collect(settings, NAME).bad == 2
    assert account(settings, NAME, TODAY).bad == 0
    assert account(settings, NAME, TODAY + timedelta(days=1)).bad == 1
