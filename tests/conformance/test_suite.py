"""The suite as a whole: errors are failures, what is missing is named, and what is said becomes files."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ml_assets.config.model_spec import ModelSpec, Task
from ml_assets.config.settings import Settings
from ml_assets.conformance import suite
from ml_assets.conformance.context import Context, NothingToCheckError, open_subject
from ml_assets.conformance.page import conformance_folder, publish
from ml_assets.conformance.show import show
from ml_assets.conformance.suite import ITEMS, Item, check_model, verdict_of
from ml_assets.conformance.verdict import Conformance, Outcome, Verdict, failed, passed
from ml_assets.datasets.training_set import DatasetRef
from ml_assets.evaluation.result import GateDecision
from ml_assets.registry.promote import apply_decision, promotion_journal
from ml_assets.storage import journal
from ml_assets.training.train import train


@pytest.fixture
def promoted(tracked: Settings, sets: Any) -> tuple[Settings, ModelSpec]:
    """A home whose model has a champion, with its training set where it belongs."""
    spec, dataset = sets[Task.REGRESSION]
    version = train(spec, tracked, dataset).version
    shutil.copytree(dataset.path, tracked.model_home(spec.name) / "training_sets" / dataset.fingerprint)
    beats = GateDecision(
        candidate=version.version, champion=None, reference="linear", promote=True, reason="beats linear", checks=()
    )
    apply_decision(tracked, spec, version, beats)
    return tracked, spec


def contents(home: Path) -> dict[str, int]:
    """Every file below a folder with the time of its last change."""
    return {str(file.relative_to(home)): file.stat().st_mtime_ns for file in home.rglob("*") if file.is_file()}


def test_a_champion_is_checked_and_nothing_is_changed(promoted: tuple[Settings, ModelSpec]) -> None:
    settings, spec = promoted
    before, told = contents(settings.home), []
    items = [item for item in ITEMS if item.name in {"determinism", "save and load", "baseline", "shuffled labels"}]
    report = check_model(settings, spec, items, lambda item, done, of: told.append((item.name, done, of)))
    assert report.ok, report.text
    assert report.version
    assert told == [(item.name, at, 4) for at, item in enumerate(items)]
    changed = {name for name, at in contents(settings.home).items() if before.get(name) != at}
    assert {name for name in changed if "mlflow" not in name} == set()  # sqlite's own files come and go by reading


def test_a_version_that_was_put_back_is_not_called_the_gates_choice(promoted: tuple[Settings, ModelSpec]) -> None:
    settings, spec = promoted
    chosen = check_model(settings, spec, [])
    assert not chosen.by_hand
    back = {"event": "demoted", "version": "later", "champion": chosen.version, "reason": "rollback --to"}
    journal.append(promotion_journal(settings, spec.name), back)
    found = check_model(settings, spec, [])
    assert found.by_hand
    assert f"version {chosen.version} (put back by hand): " in found.text


def test_what_is_aside_is_gone_whatever_happens(promoted: tuple[Settings, ModelSpec]) -> None:
    with pytest.raises(KeyboardInterrupt), open_subject(*promoted) as subject, subject.folder() as folder:
        assert folder.is_dir()
        home = subject.scratch.home
        raise KeyboardInterrupt
    assert not home.exists()


def test_an_item_that_raises_has_failed(champion: Context) -> None:
    def broken(subject: Context) -> Any:
        raise OSError("no such disk")

    verdict = verdict_of(Item("disk", "There is a disk", broken), champion)
    assert verdict.outcome is Outcome.FAILED
    assert "no such disk" in verdict.text


def test_without_a_champion_it_says_what_to_run_and_makes_nothing(settings: Settings, sets: Any) -> None:
    with pytest.raises(NothingToCheckError, match="make demo"):
        check_model(settings, sets[Task.RANKING][0])
    with pytest.raises(NothingToCheckError, match="dg launch --job train"):
        check_model(settings, sets[Task.BINARY][0])
    assert not settings.home.exists()


def test_a_training_set_that_is_gone_or_altered_is_named(promoted: tuple[Settings, ModelSpec]) -> None:
    settings, spec = promoted
    (folder,) = (settings.model_home(spec.name) / "training_sets").iterdir()
    with (folder / "baselines.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(NothingToCheckError, match=r"baselines\.parquet"):
        check_model(settings, spec, [])
    DatasetRef(folder).path.rename(folder.with_name("moved"))
    with pytest.raises(NothingToCheckError, match="is gone"):
        check_model(settings, spec, [])


def report_of(*verdicts: Verdict) -> Conformance:
    return Conformance(
        model="tips", task="regression", shop="simulated", version="0123456789ab", training_set="s",
        at=datetime(2026, 1, 5, tzinfo=UTC), seconds=3.2, verdicts=verdicts,
    )  # fmt: skip


def test_it_is_fine_only_when_something_passed_and_nothing_failed() -> None:
    made = {outcome: Verdict(item=outcome.value, title="t", outcome=outcome, text="because") for outcome in Outcome}
    assert report_of(made[Outcome.PASSED], made[Outcome.SKIPPED]).ok
    assert not report_of(made[Outcome.SKIPPED]).ok
    assert not report_of().ok
    assert not report_of(*made.values()).ok
    assert "failed: failed" in report_of(*made.values()).text


def test_the_page_and_the_table_say_all_of_it(champion_of: Any, capsys: pytest.CaptureFixture[str]) -> None:
    subject = champion_of(Task.REGRESSION)
    items = [item for item in ITEMS if item.name in {"baseline", "shuffled labels"}]
    fast = passed("1,000 requests", p99_ms=4.2, promised_ms=50.0, requests=1000)
    items += [
        Item("latency", "Answers come", lambda _: fast),
        Item("odd", "Nothing <odd>", lambda _: failed("is <odd>")),
    ]
    report = report_of(*(suite.verdict_of(item, subject) for item in items))
    page = publish(subject.settings, subject.spec, report)
    assert page.parent == conformance_folder(subject.settings, "tips", "0123456789ab")
    html = page.read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', html)  # nothing is loaded from elsewhere
    assert "is &lt;odd&gt;" in html
    assert "1 of 4 items failed" in html
    assert "data:image/png" in html
    assert Conformance.model_validate_json((page.parent / "result.json").read_text()) == report
    show(Console(width=200), report, page)
    printed = capsys.readouterr().out
    assert all(each.item in printed for each in report.verdicts)
