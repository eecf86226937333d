"""A prediction explained: from a log as the service writes it, with a real booster, over a real lake."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.explain import ListExplanation, UnknownPredictionError, show, why
from ml_assets.ingestion.days.ledger import LedgerEntry, ledger_path
from ml_assets.ingestion.days.report import DayReport
from ml_assets.ingestion.publish import part
from ml_assets.prediction_log import day_folder
from ml_assets.registry.release_journal import release_journal
from ml_assets.registry.versions import VersionRef
from ml_assets.storage import journal

DAY = date(2011, 12, 5)
AT = datetime(2011, 12, 5, 9, 30)
FEATURES = np.array([[2.5, 1.0, 3.0, 0.1], [0.2, 1.0, np.nan, -0.4], [1.0, 1.0, 0.5, 2.0]], dtype=np.float32)


def logged(version: VersionRef, **changed: Any) -> dict[str, Any]:
    """A line of the log: three products, ranked by this very booster."""
    scores = version.booster().predict(FEATURES).astype(np.float32)
    order = np.argsort(-scores)
    line = {
        "kind": "prediction",
        "prediction_id": "p-1",
        "time": AT.isoformat() + "+00:00",
        "logged_at": AT.isoformat() + "+00:00",
        "as_of": "2011-12-05T00:00:00+00:00",
        "model_version": version.version,
        "index": "abc",
        "arm": "champion",
        "release_id": None,
        "customer": "c001",
        "customer_known": True,
        "k": 3,
        "session": [["p007", "view"]],
        "candidates": None,
        "ranked": 40,
        "products": [f"p00{at}" for at in order],
        "categories": ["k1", "k2", None],
        "positions": [1, 2, 3],
        "scores": scores[order].tolist(),
        "propensities": [1.0, 1.0, 0.9],
        "sources": [["own", "popular"], ["popular"], ["similar"]],
        "features_id": "f1",
        "features": [[None if np.isnan(value) else value for value in row] for row in FEATURES[order].tolist()],
        "unknown_products": [],
        "degraded": [],
        "served_by": "code/1",
        "latency_ms": 4.5,
    }
    return {**line, **changed}


@pytest.fixture
def log(settings: Settings, spec: ModelSpec, version: VersionRef):
    """Write lines into a segment, as the service does."""
    folder = settings.model_home(spec.name) / "serving" / "predictions"
    folder.mkdir(parents=True)
    (folder / "features-f1.json").write_bytes(orjson.dumps(version.features))

    def write(*lines: dict[str, Any], name: str = "20111205T093000000000-1.jsonl") -> None:
        with (folder / name).open("ab") as segment:
            segment.writelines(orjson.dumps(line) + b"\n" for line in lines)

    return write


@pytest.fixture
def lake(settings: Settings) -> None:
    """Three days of events of two customers; the newest day is the one of the answer."""
    entries = []
    for back in range(3):
        day = DAY - timedelta(days=back)
        rows = [
            {
                "event_id": f"e{back}-{customer}-{at}",
                "event_ts": datetime.combine(day, datetime.min.time()) + timedelta(hours=8 + at),
                "customer_id": customer,
                "product_id": f"p00{at}",
                "event_type": ("view", "cart")[at],
                "session_id": f"s{back}",
            }
            for customer in ("c001", "c002")
            for at in range(2)
        ]
        path = part(settings.lake, "events", day)
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), path)
        report = DayReport(day=day, rows_in=4, rows_good=4, rows_quarantined=0, reasons={})
        entries.append(LedgerEntry(day, {f"{day}.parquet": "0"}, "c", "p", report))
    path = ledger_path(settings.lake, "events")
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{entry.to_json()}\n" for entry in entries))


@pytest.mark.usefixtures("lake")
def test_an_answer_is_explained_by_the_booster_that_made_it(
    settings: Settings, spec: ModelSpec, version: VersionRef, log
):
    line = logged(version)
    log(line)
    found = why(settings, spec, "p-1", top=2)
    assert (found.customer_id, found.k, found.arm, found.time) == ("c001", 3, "champion", AT)
    assert found.session == (("p007", "view"),)
    assert [product.product_id for product in found.products] == line["products"]
    assert found.products[0].sources == ("own", "popular")
    assert found.notes == ()
    for product, values in zip(found.products, line["features"], strict=True):
        assert product.base is not None
        assert product.rest is not None
        assert len(product.contributions) == 2
        total = product.base + sum(one.moved for one in product.contributions) + product.rest
        assert total == pytest.approx(product.score, rel=1e-4, abs=1e-4)
        assert abs(product.contributions[0].moved) >= abs(product.contributions[1].moved)
        for one in product.contributions:
            assert one.value == pytest.approx(values[version.features.index(one.feature)])
    assert ListExplanation.model_validate_json(found.model_dump_json()) == found


@pytest.mark.usefixtures("lake")
def test_it_leads_back_to_the_training_and_the_raw_files(settings: Settings, spec: ModelSpec, version: VersionRef, log):
    log(logged(version))
    found = why(settings, spec, "p-1", events=3)
    assert found.origin is not None
    assert (found.origin.run_id, found.origin.training_set) == (version.run_id, "0123456789abcdef")
    assert found.origin.reason == "promoted: beats ease"
    assert found.origin.trained_until == date(2011, 11, 7)
    assert found.origin.data["last_event_day"] == "2011-12-04"
    assert found.events_before == 4  # the day of the answer had not arrived
    assert [event.event_id for event in found.events] == ["e1-c001-1", "e1-c001-0", "e2-c001-1"]
    assert found.events[0].files == ("2011-12-04.parquet",)
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    show(console, found)
    text = console.export_text()
    for said in (
        "p-1",
        "c001",
        version.run_id,
        "promoted: beats ease",
        "2011-12-04.parquet",
        "e1-c001-1",
        "not known yet",
    ):
        assert said in text
    assert all(one.feature in text for product in found.products for one in product.contributions)


def test_features_that_did_not_make_the_score_are_told(settings: Settings, spec: ModelSpec, version: VersionRef, log):
    line = logged(version)
    log({**line, "scores": [score + 0.5 for score in line["scores"]]})
    assert "do not add up" in why(settings, spec, "p-1").notes[0]


def test_popularity_has_no_contributions(settings: Settings, spec: ModelSpec, version: VersionRef, log):
    popular = {"arm": "holdback", "features_id": None, "features": [], "sources": [["popular"]] * 3}
    log(logged(version, **popular))
    found = why(settings, spec, "p-1")
    assert found.origin is None
    assert "no model was asked" in found.notes[0]
    assert all(product.contributions == () for product in found.products)


def test_a_version_that_is_gone_leaves_the_rest(settings: Settings, spec: ModelSpec, version: VersionRef, log):
    log(logged(version, model_version="0123456789ab"))
    found = why(settings, spec, "p-1")
    assert "no such model version" in found.notes[0]
    assert len(found.products) == 3
    assert found.origin is None


def test_a_release_tells_its_story(settings: Settings, spec: ModelSpec, version: VersionRef, log):
    releases = release_journal(settings, spec.name)
    journal.append(releases, {"event": "begun", "release_id": "r1", "reason": "a new champion"})
    journal.append(releases, {"event": "begun", "release_id": "r2", "reason": "another"})
    log(logged(version, arm="canary", release_id="r1"))
    origin = why(settings, spec, "p-1").origin
    assert origin is not None
    assert [line.split(": ", 1)[1] for line in origin.release] == ["begun: a new champion"]


def test_what_the_customer_did_is_told_once_the_day_is_published(
    settings: Settings, spec: ModelSpec, version: VersionRef, log
):
    log(logged(version))
    published = day_folder(settings, spec.name, DAY) / "shown.parquet"
    published.parent.mkdir(parents=True)
    rows = [
        {"prediction_id": "p-1", "product_id": f"p00{at}", "clicked": at > 0, "carted": at > 1, "purchased": False}
        for at in range(3)
    ]
    pq.write_table(pa.Table.from_pylist(rows), published)
    found = why(settings, spec, "p-1")
    assert {each.product_id: (each.clicked, each.carted, each.purchased) for each in found.products} == {
        "p000": (False, False, False),
        "p001": (True, False, False),
        "p002": (True, True, False),
    }


def test_an_unknown_id_says_where_it_looked(settings: Settings, spec: ModelSpec, version: VersionRef, log):
    with pytest.raises(UnknownPredictionError, match="no answers yet"):
        why(settings, spec, "p-1")
    log(logged(version))
    with pytest.raises(UnknownPredictionError, match=r"no answer 'p-2'.*2011-12-05T09 to 2011-12-05T09"):
        why(settings, spec, "p-2")
    log(logged(version, prediction_id="p-2"))  # collected on demand
    assert why(settings, spec, "p-2").prediction_id == "p-2"
