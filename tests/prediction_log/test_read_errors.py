"""What the disk does not give is left for later; what was taken for bad lines is read again when asked."""

import copy
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from answer_lines import DAY, NAME, Log, event, event_spec, outcome, prediction, refusal, spec

from ml_assets.config.settings import Settings
from ml_assets.config.streaming_config import StreamingSpec
from ml_assets.prediction_log import Kind, account, collect, due_again, publish_day, reread, uncollected
from ml_assets.prediction_log.partitions import parts_home
from ml_assets.prediction_log.set_aside import set_aside, set_aside_path

TODAY = DAY.date()
OTHER = "20260302T000000000001-999999998"


@pytest.fixture
def names(log: Log):
    """The file of names of one feature set; a folder in its place is a real error of reading."""
    path = log.folder / "features-two.json"
    text = path.read_text()

    class Names:
        def break_(self) -> None:
            path.unlink(missing_ok=True)
            path.mkdir()

        def lose(self) -> None:
            path.unlink()

        def mend(self) -> None:
            if path.is_dir():
                path.rmdir()
            path.write_text(text)

    return Names()


def test_an_error_of_the_disk_leaves_the_range_for_later(log: Log, settings: Settings, names):
    log.write(prediction("a1"), prediction("a2", features="two"), prediction("a3"))
    log.write(prediction("a4"), segment=OTHER)
    names.break_()
    found = collect(settings, NAME)
    assert (found.predictions, found.bad) == (2, 0)
    assert "left for later: 20260302T000000000000-999999999.jsonl from byte" in found.text
    assert log.ids() == ["a1", "a4"], "the other segment is not held back"
    assert uncollected(settings, NAME)
    names.mend()
    found = collect(settings, NAME)
    assert (found.predictions, found.bad, found.left) == (2, 0, ())
    assert sorted(log.ids()) == ["a1", "a2", "a3", "a4"]
    assert account(settings, NAME, TODAY).ok


def test_a_segment_that_cannot_be_opened_holds_back_no_other(log: Log, settings: Settings):
    (log.folder / f"{OTHER}.jsonl").mkdir()
    log.write(prediction("a1"))
    found = collect(settings, NAME)
    assert found.predictions == 1
    assert OTHER in found.text


def test_bad_lines_are_read_again(log: Log, settings: Settings, names):
    log.write(prediction("a1"), prediction("a2", features="two"), refusal())
    collected = log.folder / "20260302T000000000002-999999997.jsonl"
    collected.write_bytes(b"nonsense\n")
    names.lose()
    assert collect(settings, NAME).bad == 2
    publish_day(settings, spec(), TODAY)
    assert account(settings, NAME, TODAY).bad == 2
    names.mend()
    assert collect(settings, NAME).new_parts == 0
    found, days = reread(settings, NAME)
    assert (found.predictions, found.bad, days) == (2, 1, [TODAY])
    assert log.ids() == ["a1", "a2"]
    publish_day(settings, spec(), TODAY)
    books = account(settings, NAME, TODAY)
    assert (books.ok, books.bad, books.answers, books.late) == (True, 1, 2, 0)
    assert not list(parts_home(settings, NAME).rglob("*.tmp"))


def test_bad_lines_that_were_set_aside_are_not_asked_about_again(log: Log, settings: Settings, names):
    path = log.write(prediction("a1"), prediction("a2", features="two"))
    (log.folder / "20260302T000000000002-999999997.jsonl").write_bytes(b"nonsense\n")
    names.lose()
    collect(settings, NAME)
    publish_day(settings, spec(), TODAY)
    first = set_aside(settings, NAME)
    assert [each.text.partition(":")[0] for each in first] == [
        f"{path.stem}.jsonl, byte {len(path.read_bytes().splitlines(keepends=True)[0]):,}",
        "20260302T000000000002-999999997.jsonl, byte 0",
    ]
    books = account(settings, NAME, TODAY)
    assert (books.ok, books.bad, books.set_aside) == (True, 0, 2)
    assert "2 bad lines were set aside by hand" in books.text
    assert set_aside(settings, NAME) == [], "each is decided once"
    (log.folder / "20260302T000000000003-999999996.jsonl").write_bytes(b"more of it\n")
    collect(settings, NAME)
    books = account(settings, NAME, TODAY)
    assert (books.bad, books.set_aside) == (1, 2), "a later one is another decision"
    names.mend()
    reread(settings, NAME)
    publish_day(settings, spec(), TODAY)
    books = account(settings, NAME, TODAY)
    assert (books.ok, books.bad, books.set_aside, log.ids()) == (True, 1, 1, ["a1", "a2"])


def places(said: Any) -> Iterator[tuple[Any, Any]]:
    """Every value in a line, however deep: what holds it, and under which key or number."""
    for key, value in said.items() if isinstance(said, dict) else enumerate(said):
        yield said, key
        if isinstance(value, dict | list):
            yield from places(value)


@pytest.mark.parametrize("line", [prediction("a1"), event("a1"), outcome("a1"), refusal()], ids=str)
def test_no_reason_repeats_a_value_of_its_line(log: Log, settings: Settings, line: dict[str, Any]):
    gone = "C-0042"
    lines = []
    for at in range(len(list(places(line)))):
        for value in (gone, [gone], {"id": gone}, f"{gone} " * 100):
            changed = copy.deepcopy(line)
            holder, key = list(places(changed))[at]
            holder[key] = value
            lines.append(changed)
    path = log.write(*lines)
    path.write_bytes(path.read_bytes() + f'{{"customer": "{gone}", "kind": }}\n"{gone}"\n{gone}\n'.encode())
    bad = collect(settings, NAME).bad
    assert bad > len(lines) / 2
    assert len(set_aside(settings, NAME)) == bad
    assert gone not in set_aside_path(settings, NAME).read_text()


def test_what_cannot_be_read_again_stays_as_it_is(log: Log, settings: Settings, names):
    path = log.write(prediction("a1"), prediction("a2", features="two"))
    names.lose()
    collect(settings, NAME)
    names.break_()
    found, days = reread(settings, NAME)
    assert (found.new_parts, days, len(found.left)) == (0, [], 1)
    assert len(log.rows(Kind.BAD)) == 1
    path.unlink()
    names.mend()
    found, _ = reread(settings, NAME)
    assert (found.new_parts, log.ids()) == (0, ["a1"]), "the service's file is gone: its parts are all there is"


@pytest.mark.parametrize(("max_age", "back", "due"), [(7, 7, True), (50, 50, True), (7, 60, False)])
def test_answers_of_old_days_reach_the_tables(log: Log, settings: Settings, max_age: int, back: int, due: bool):
    streaming = StreamingSpec(
        bootstrap="h:1", requests="r", answers="a", dead_letters="d", group="g", max_age=timedelta(days=max_age)
    )
    serving = event_spec().serving.model_copy(update={"streaming": streaming})
    streamed = event_spec().model_copy(update={"serving": serving})
    first = TODAY + timedelta(days=back)
    log.write(refusal())
    collect(settings, NAME)
    publish_day(settings, streamed, TODAY)
    log.write(event("a1", event=None))
    log.write(event("a2", hour=24, event=None))
    collect(settings, NAME)
    found = due_again(settings, streamed, first)
    assert (TODAY in found) is due
    if back <= max_age:
        assert TODAY + timedelta(days=1) in found, "it was never published"


def test_a_list_that_was_collected_late_is_published(log: Log, settings: Settings):
    log.write(prediction("a1"))
    collect(settings, NAME)
    publish_day(settings, spec(), TODAY)
    first = TODAY + timedelta(days=6)
    assert due_again(settings, spec(), first) == []
    log.write(prediction("a2"))
    collect(settings, NAME)
    assert due_again(settings, spec(), first) == [TODAY]
    publish_day(settings, spec(), TODAY)
    assert due_again(settings, spec(), first) == []
