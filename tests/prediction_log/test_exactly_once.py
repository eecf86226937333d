"""Whatever happens to writers and collectors, each complete line is in the tables exactly once."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from itertools import chain
from pathlib import Path

import pytest
from answer_lines import DAY, FEATURES, NAME, Log, dump, event, outcome, prediction, refusal, spec
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from killed_at import SEEN, killed_at_each_step

from ml_assets.config.settings import Settings
from ml_assets.prediction_log import Kind, account, collect, publish_day
from ml_assets.prediction_log.partitions import parts_home

COLLECT = sys.modules["ml_assets.prediction_log.collect"]  # the package names its function so

WORKERS = (os.getpid(), os.getppid())
"""Two processes that are alive: only a newer segment of theirs tells that an old one has ended."""

WHO = st.integers(0, 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["answer", "event"]),
            WHO,
            st.sampled_from(["one", "two", None]),
            st.sampled_from([0.5, 12.0, 24.0]),
        ),
        st.tuples(st.sampled_from(["outcome", "refusal", "garbage", "tear", "complete", "rotate"]), WHO),
        st.tuples(st.sampled_from(["wait", "collect"])),
        st.tuples(st.just("killed"), st.integers(1, 4)),
    ),
    min_size=4,
    max_size=25,
)


class Killed(BaseException):
    """Nothing catches it."""


class Writers:
    """Two processes and their segments."""

    def __init__(self, log: Log) -> None:
        self.log, self.count = log, 0
        self.rest = [b"", b""]
        self.path = [log.folder, log.folder]
        for who in (0, 1):
            self.rotate(who)

    def do(self, name: str, who: int = 0, features: str | None = "one", hour: float = 12.0) -> None:
        self.count += 1
        match name:
            case "answer":
                self.append(who, dump(prediction(f"a{self.count}", hour, features=features)))
            case "event":
                self.append(who, dump(event(f"a{self.count}", hour, features=features)))
            case "outcome":
                self.append(who, dump(outcome(f"a{self.count}")))
            case "refusal":
                self.append(who, dump(refusal(self.count)))
            case "garbage":
                self.append(who, b"{" * self.count + b"\n")
            case "tear":
                line = dump(prediction(f"a{self.count}"))
                self.append(who, line[:200])
                self.rest[who] = line[200:]
            case "complete":
                self.append(who, b"")
            case "rotate":
                self.rotate(who)
            case "wait":
                self.wait()

    def append(self, who: int, raw: bytes) -> None:
        with self.path[who].open("ab") as opened:
            opened.write(self.rest[who] + raw)
        self.rest[who] = b""

    def rotate(self, who: int) -> None:
        """A new segment; what was torn stays so."""
        self.count += 1
        self.rest[who] = b""
        self.path[who] = self.log.folder / f"20260302T{self.count:012d}-{WORKERS[who]}.jsonl"
        self.path[who].touch()

    def wait(self) -> None:
        for path in self.log.folder.glob("*.jsonl"):
            os.utime(path, (time.time() - 60, time.time() - 60))

    def lines(self) -> tuple[set[tuple], set[tuple]]:
        """What is to be found by now, and what may be found besides: the torn ends of older segments."""
        complete, torn = set(), set()
        for path in self.log.folder.glob("*.jsonl"):
            *whole, end = path.read_bytes().split(b"\n")
            at = 0
            for raw in whole:
                complete.add((path.stem, at, *identity(raw)))
                at += len(raw) + 1
            if end and path not in self.path:
                torn.add((path.stem, at, Kind.BAD, end))
        return complete, torn


def identity(raw: bytes) -> tuple:
    try:
        line = json.loads(raw)
    except ValueError:
        return Kind.BAD, raw + b"\n"
    match line["kind"]:
        case "prediction":
            return Kind.PREDICTIONS, line["prediction_id"]
        case "outcome":
            return Kind.OUTCOMES, line["prediction_id"]
    return Kind.REFUSALS, line["status"]


COLUMN = {
    Kind.PREDICTIONS: "prediction_id", Kind.OUTCOMES: "prediction_id", Kind.REFUSALS: "status", Kind.BAD: "raw",
}  # fmt: skip


def found(log: Log) -> list[tuple]:
    return [
        (row["segment"], row["line"], kind, row[column]) for kind, column in COLUMN.items() for row in log.rows(kind)
    ]


def run(log: Log, killed_at: int | None = None) -> None:
    """Collect; the process dies when it has written that many files."""
    written = 0

    def write(table, path, through=COLLECT._write):
        nonlocal written
        through(table, path)
        written += 1
        if written == killed_at:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(COLLECT, "_write", write)
        patch.setattr(COLLECT, "BATCH_BYTES", 1000)
        patch.setattr(os, "fsync", lambda handle: None)  # nobody pulls the plug here
        try:
            collect(log.settings, NAME)
        except Killed:
            assert killed_at


def shown_as_logged(log: Log) -> bool:
    """Every answer has its two products, every event its one row, with the values of their own features."""
    rows: dict[str, list[dict]] = {}
    for row in log.rows(Kind.SHOWN):
        rows.setdefault(row["prediction_id"], []).append(row)
    names = set(chain.from_iterable(FEATURES.values()))
    for path in log.folder.glob("*.jsonl"):
        for raw in path.read_bytes().split(b"\n")[:-1]:
            if identity(raw)[0] is Kind.PREDICTIONS:
                line = json.loads(raw)
                own = FEATURES.get(line["features_id"], ())
                for row, values in zip(
                    rows.pop(line["prediction_id"]),
                    line["features"] or [[]] * len(line.get("products", ["event"])),
                    strict=True,
                ):
                    told = dict(zip(own, values, strict=True))
                    if any(row.get(name) != told.get(name) for name in names):
                        return False
    return not rows


@given(STEPS)
@hypothesis_settings(max_examples=60, deadline=None)
def test_each_line_is_there_once(steps):
    with tempfile.TemporaryDirectory() as home:
        log = Log(Settings(home=Path(home), shop="simulated"))
        writers = Writers(log)
        for name, *said in steps:
            if name == "collect":
                run(log)
                complete, torn = writers.lines()
                there = found(log)
                assert len(set(there)) == len(there)
                assert complete <= set(there) <= complete | torn
            elif name == "killed":
                run(log, killed_at=said[0])
            else:
                writers.do(name, *said)
        for who in (0, 1):
            writers.rotate(who)
        writers.wait()
        run(log)
        complete, torn = writers.lines()
        assert sorted(map(str, found(log))) == sorted(map(str, complete | torn))
        assert shown_as_logged(log)
        assert account(log.settings, NAME, DAY.date()).ok


def test_a_second_collector_waits_for_the_first(log, settings, monkeypatch):
    for number in range(6):
        log.write(prediction(f"a{number}"), segment=f"20260302T{number % 3:012d}-99999999{number % 3}")
    counts: list[int] = []
    second = threading.Thread(target=lambda: counts.append(collect(settings, NAME).predictions))

    def write(table, path, through=COLLECT._write):
        if not second.ident:
            second.start()
            second.join(0.5)  # time enough to do the same work, if nothing holds it up
        through(table, path)

    monkeypatch.setattr(COLLECT, "_write", write)
    counts.append(collect(settings, NAME).predictions)
    second.join()
    assert counts in ([6, 0], [0, 6])
    assert log.ids() == ["a0", "a3", "a1", "a4", "a2", "a5"]


def test_a_collector_that_is_killed_leaves_nothing_half(log, settings):
    log.write(*(prediction(f"a{number}", hour=number) for number in range(4)), refusal())
    code = f"""
import os, signal, sys
from ml_assets.prediction_log import collect
from ml_assets.config.settings import Settings
COLLECT = sys.modules["ml_assets.prediction_log.collect"]

def write(table, path, through=COLLECT._write):
    through(table, path)
    if "T02" in path.name:
        os.kill(os.getpid(), signal.SIGKILL)

COLLECT._write = write
collect(Settings.model_validate_json({settings.model_dump_json()!r}), {NAME!r})
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert list(parts_home(settings, NAME).rglob("*.parquet"))
    assert log.ids() == []
    assert collect(settings, NAME).predictions == 4
    assert log.ids() == [f"a{number}" for number in range(4)]
    assert not list(parts_home(settings, NAME).rglob("*.tmp"))
    assert account(settings, NAME, DAY.date()).ok


def test_collecting_and_publishing_killed_at_any_step_gives_each_line_once(tmp_path):
    logs = []

    def begin(moment):
        logs.append(Log(Settings(home=tmp_path / str(moment), shop="simulated")))
        logs[-1].write(prediction("a0"), outcome("a0"), refusal())

    def work():
        collect(logs[-1].settings, NAME)
        publish_day(logs[-1].settings, spec(), DAY.date())

    for moment in killed_at_each_step(begin, work, SEEN):
        log = logs[-1]
        there = found(log)
        assert len(set(there)) == len(there), moment
        work()
        assert log.ids() == ["a0"], moment
        assert len(found(log)) == 3, moment
        assert account(log.settings, NAME, DAY.date()).ok, moment
        home = log.settings.model_home(NAME)
        assert not [path for path in home.rglob("*.tmp") if "predictions" in path.parts], moment
    assert moment > 3
