"""What is old goes and what is needed stays, whoever is killed meanwhile; the books know what went on purpose."""

import os
import time
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from answer_lines import DAY, NAME, Log, outcome, prediction, spec
from sourced_shop import landed_shop
from tiny_shop import day, event, tiny_shop

from ml_assets.config.ingestion_error import IngestionError
from ml_assets.ingestion.audit import count_rows
from ml_assets.ingestion.days.gaps import gaps
from ml_assets.ingestion.days.ledger import changed_days, read_report
from ml_assets.prediction_log import account, collect, day_folder, publish_day
from ml_assets.prediction_log.partitions import parts_home
from ml_assets.registry.back import roll_back
from ml_assets.registry.history import write_pointer
from ml_assets.registry.mlflow_client import experiment, open_mlflow
from ml_assets.registry.pointer import make_pointer, pointer_path, read_pointer
from ml_assets.registry.versions import list_versions, publish_version
from ml_assets.retention import kinds
from ml_assets.retention.aside import removed_home, take_away
from ml_assets.retention.prune import prune, pruned_journal
from ml_assets.storage import journal
from ml_assets.storage.files import write_text_atomically

MODEL = "product_recommender"
LATER = datetime.now(UTC) + timedelta(days=1000)
"""A moment from which everything made now is old."""


PRICES = (("a", "1"), ("b", "2"), ("c", "?"))


def names(told):
    return {each.kind: each.names for each in told}


def publish(settings, text):
    return publish_version(
        settings, MODEL, text, f"run-{text}", features=("a",), params={}, training_set=f"set-{text}", metrics={},
        created_from={},
    )  # fmt: skip


@pytest.fixture
def served(tracked, tmp_path):
    """Versions `one` and `two` served, `never` did not, `newest` is the newest; each with training set and pages."""
    settings = tracked
    (online := tmp_path / "online.db").touch()
    for at_, text in enumerate(("never", "one", "two", "newest")):
        ref = publish(settings, text)
        os.utime(ref.path, (at_, at_))
        write_text_atomically(settings.model_home(MODEL) / "evaluations" / ref.version / "result.json", "{}")
        sets = settings.model_home(MODEL) / "training_sets" / f"set-{text}"
        write_text_atomically(sets / "manifest.json", "{}")
        os.utime(sets / "manifest.json", (at_, at_))
        if text in {"one", "two"}:
            pointer = make_pointer(
                model_name=MODEL, model_version=ref.version, version_folder=ref.path, index_folder=None,
                online_store=online, as_of=DAY, deployed_at=datetime.now(UTC),
            )  # fmt: skip
            write_pointer(pointer_path(settings, MODEL), pointer)
    return settings


def kept(settings):
    return {path.name for path in list_versions(settings, MODEL)}


def test_versions_go_that_no_history_needs_and_going_back_still_works(served):
    never, one = publish(served, "never"), publish(served, "one")
    told = names(prune(served, None, now=LATER, dry_run=True))
    assert told["versions"] == (f"{MODEL}/versions/{never.version}",)
    assert never.path.exists(), "a dry run removes nothing"
    assert names(prune(served, None, now=LATER)) == told
    assert not never.path.exists()
    assert not (served.model_home(MODEL) / "evaluations" / never.version).exists()
    assert {path.name for path in (served.model_home(MODEL) / "training_sets").iterdir()} == {
        "set-one", "set-two", "set-newest",
    }  # fmt: skip
    assert roll_back(pointer_path(served, MODEL), "test").model_version == one.version
    assert prune(served, None, now=LATER) == []
    noted = journal.read(pruned_journal(served))
    assert [line["kind"] for line in noted] == ["versions", "training_sets"]


def test_a_model_whose_journals_are_damaged_is_left_alone_and_that_is_said(served):
    before = kept(served)
    history = pointer_path(served, MODEL).with_name("history.jsonl")
    history.write_text(history.read_text().replace("deployed", "Deployed", 1))
    told = {each.kind: each.left for each in prune(served, None, now=LATER)}
    assert "history.jsonl" in told["versions"]
    assert kept(served) == before
    history.unlink()
    pointer_path(served, MODEL).write_text("{")
    assert "pointer.json does not read" in {each.kind: each.left for each in prune(served, None, now=LATER)}["versions"]


def test_what_a_killed_removal_left_aside_goes_with_the_next_one(served, monkeypatch):
    monkeypatch.setattr("ml_assets.retention.prune.take_away", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        prune(served, None, now=LATER)
    never = publish(served, "never")
    take_away(served, [never.path])
    assert list(removed_home(served).iterdir())
    monkeypatch.undo()
    prune(served, None, now=LATER)
    assert not list(removed_home(served).iterdir())
    assert read_pointer(pointer_path(served, MODEL)).model_version in kept(served)


def test_mlflow_runs_go_for_good_but_not_those_of_versions_that_stay_or_that_a_person_deleted(served):
    client = open_mlflow(served)
    where = experiment(client, served, MODEL)
    ids = {}
    for name in ("trial", "deleted", "open"):
        run = client.create_run(where).info
        client.log_text(run.run_id, "text", "file.txt")
        if name != "open":
            client.set_terminated(run.run_id)
        ids[name] = run.run_id
    client.delete_run(ids["deleted"])
    told = names(prune(served, None, now=LATER))
    assert told["trials"] == (ids["trial"],)
    assert not (served.mlflow_artifacts / MODEL / ids["trial"] / "artifacts" / "file.txt").exists()
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException):
        client.get_run(ids["trial"])
    assert client.get_run(ids["deleted"]).info.lifecycle_stage == "deleted"
    assert client.get_run(ids["open"])


def holds(shop, last):
    """What the checks `nothing_lost` and `no_gaps` compare."""
    report = read_report(shop.settings.lake, "events", day(0), day(last))
    good, bad = count_rows(shop.settings.lake, "events", [day(number) for number in range(last + 1)])
    lost = report.rows_in - good - bad - sum(report.rows_removed.values())
    return lost, gaps(shop.source, "events", shop.settings, day(last)).days


def test_rows_that_were_pruned_are_counted_as_such_and_the_days_are_not_asked_for_again(tmp_path):
    shop = tiny_shop(tmp_path / "home")
    shop.open_days(3)
    for number in range(3):
        shop.land_events(number, [event(f"{name}{number}", number, price=price) for name, price in PRICES])
    shop.ingest(0, 2)
    settings = shop.settings.model_copy(update={"keep": shop.settings.keep.model_copy(update={"lake": 60})})
    told = prune(settings, None, now=LATER)
    assert names(told)["quarantine"] == (f"events/{day(0)}", f"events/{day(1)}")
    assert [each.names for each in told if each.kind == "lake"] == [(f"events/{day(0)}", f"events/{day(1)}")]
    assert [len(shop.good(number)) for number in range(3)] == [0, 0, 2]
    assert len(shop.good(0, "products")) == 2, "events look products up"
    assert read_report(settings.lake, "events", day(0), day(2)).rows_removed == {"pruned": 6}
    assert holds(shop, 2) == (0, ())
    assert changed_days(shop.source, "events", settings, day(0), day(2)) == []
    assert prune(settings, None, now=LATER) == []
    shop.ingest(0)  # asked for by hand, from files that are still there
    assert len(shop.good(0)) == 2


def test_landed_files_that_were_pruned_are_not_missed(tmp_path):
    shop = landed_shop(tmp_path)
    shop.ingest(0, 1)
    keep = shop.settings.keep.model_copy(update={"landing": 60, "quarantine": None})
    shop.settings = shop.settings.model_copy(update={"keep": keep})
    from ml_assets.retention import raw

    events = shop.source.table("events")
    assert [path.name for path in raw.old_landings(shop.settings, events, LATER)] == [str(day(0))], "1 is the newest"
    raw.prune_landings(shop.settings, events, LATER)
    assert not (shop.journal.folder / str(day(0))).exists()
    assert changed_days(shop.source, "events", shop.settings, day(0), day(1)) == []
    with pytest.raises(IngestionError, match=f"up to {day(0)} were pruned"):
        shop.ingest(0)
    shop.ingest(1, 2)
    assert holds(shop, 2) == (0, ())
    shop.land(2)  # rows within the overlap are not looked for in what is gone
    assert [path.parent.name for path in shop.landed_files()] == [str(day(1)), str(day(2))]


def test_the_log_goes_once_it_is_collected_and_the_days_books_still_balance(settings, monkeypatch):
    log = Log(settings)
    log.write(*(prediction(f"a{number}", hour=number) for number in range(6)), outcome("a1"))
    waits = log.write(prediction("a9"), segment="20260302T000000000001-999999998")
    waits.write_bytes(waits.read_bytes() + b"nonsense\n")
    collect(settings, NAME)
    publish_day(settings, spec(), DAY.date())
    monkeypatch.setattr(kinds, "model_specs", lambda: [spec()])
    monkeypatch.setattr("ml_assets.retention.prune.raw.tables", lambda _: [])
    for path in log.folder.glob("*.jsonl"):
        os.utime(path, (time.time() - 600, time.time() - 600))
    told = names(prune(settings, None, now=LATER))
    assert told["prediction_log"] == (f"{NAME}/log/20260302T000000000000-999999999",), "the other has a bad line"
    assert [path.name for path in log.folder.glob("*.jsonl")] == [waits.name]
    found = account(settings, NAME, DAY.date())
    assert (found.ok, found.table, found.pruned) == (True, 7, 6)
    assert "were pruned since" in found.text
    before = (day_folder(settings, NAME, DAY.date())).resolve()
    with pytest.raises(FileNotFoundError, match="were pruned"):
        publish_day(settings, spec(), DAY.date())
    assert day_folder(settings, NAME, DAY.date()).resolve() == before


def test_parts_that_are_gone_by_accident_are_still_noticed(settings):
    log = Log(settings)
    log.write(prediction("a1"), prediction("a2"))
    collect(settings, NAME)
    publish_day(settings, spec(), DAY.date())
    next(parts_home(settings, NAME).glob("*/*/predictions-*")).unlink()
    assert not account(settings, NAME, DAY.date()).ok


def test_dagsters_runs_go_but_not_those_that_hold_the_newest_of_an_asset_or_a_day(settings):
    days = dg.DailyPartitionsDefinition("2026-01-01")

    @dg.asset(partitions_def=days)
    def daily():
        return None

    @dg.asset
    def whole():
        return None

    with dg.instance_for_test() as instance:

        def run(asset, key=None):
            return dg.materialize([asset], instance=instance, partition_key=key).run_id

        first, day_one, old, new = run(daily, "2026-01-01"), run(daily, "2026-01-02"), run(whole), run(whole)
        again = run(daily, "2026-01-01")
        told = names(prune(settings, instance, now=LATER))
        assert set(told["runs"]) == {first, old}
        assert {each.run_id for each in instance.get_runs()} == {day_one, new, again}
        assert instance.get_latest_materialization_event(dg.AssetKey("whole")).run_id == new
        assert instance.get_materialized_partitions(dg.AssetKey("daily")) == {"2026-01-01", "2026-01-02"}
        assert prune(settings, instance, now=LATER) == []
