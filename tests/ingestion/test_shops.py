"""The shipped shops: the simulated one against the truth it knows, the real one against known counts."""

import os
from collections import Counter
from datetime import date
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from tiny_shop import TinyShop, day

from ml_assets.config.settings import PROJECT, Settings
from ml_assets.config.source_spec import load_source
from ml_assets.ingestion.days.report import decide_quarantine
from ml_assets.ingestion.ingest import ingest

FILE = (
    Path(os.environ.get("ML_ASSETS_SHARED") or PROJECT.parent / "shared/data") / "online_retail/invoice_lines.parquet"
)
REAL = pytest.mark.skipif(not FILE.exists(), reason=f"real data not here: {FILE} (set ML_ASSETS_SHARED)")
DAYS = 4
KINDS = {
    "wrong_type": {"type"}, "missing": {"null"}, "out_of_range": {"range"}, "unknown_event_type": {"allowed"},
    "outlier": {"range", "outlier"}, "unknown_product": {"reference"}, "duplicate": {"duplicate"},
    "future": {"future"}, "too_late": {"late"},
}  # fmt: skip


@pytest.mark.parametrize("table", ["products", "events"])
def test_exactly_the_faulty_rows_of_the_simulated_shop_are_set_aside(settings, table):
    from ml_assets.simulation.shop import Shop
    from ml_assets.simulation.spec import SimulationSpec

    spec = SimulationSpec(
        start=day(0),
        customers=300,
        products=60,
        categories=6,
        events_per_day=1500.0,
        dirty_share=0.05,
        late_share=0.05,
    )
    simulated, shop = Shop(spec), TinyShop(settings)
    truth = []
    for number in range(DAYS):
        files = simulated.day(day(number))
        for name, rows in (("events", files.events), ("products", files.products)):
            path = settings.landing / name / f"{day(number)}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(rows, path)
        truth.append((files.faults if table == "events" else files.product_faults)["kind"].to_pylist())
    for each in dict.fromkeys(["products", table]):
        report = shop.ingest(0, DAYS - 1, each)
    assert [d.rows_quarantined for d in report.days] == [len(kinds) for kinds in truth]
    found = Counter(reason.split(":")[0] for reason, n in report.reasons.items() for _ in range(n))
    expected = Counter(kind for kinds in truth for kind in kinds)
    for kind, reasons in KINDS.items():
        if not reasons & {"range", "outlier"}:
            assert sum(found[reason] for reason in reasons) == expected[kind], kind
    assert found["range"] + found["outlier"] == expected["out_of_range"] + expected["outlier"]


def real_shop(home, data):
    settings = Settings(home=home, shop="online_retail", data=str(data), threads=2, memory="1GB")
    return settings, load_source(settings.shop_file)


@REAL
def test_a_month_of_online_retail(tmp_path):
    start, end = date(2010, 11, 1), date(2010, 11, 30)
    month = tmp_path / "lines.parquet"
    within = f"from '{FILE}' where invoice_ts::date between '{start}' and '{end}'"
    duckdb.sql(f"copy (select * {within}) to '{month}' (format parquet)")
    settings, source = real_shop(tmp_path, month)
    products, events = (ingest(source, table, settings, start, end) for table in ("products", "events"))
    clean = """customer_id is not null and invoice not like 'C%' and quantity > 0 and price > 0
        and regexp_full_match(upper(trim(stock_code)), '[0-9]{5}[A-Z]{0,2}')"""
    lines, invoices, customers, goods, days = duckdb.sql(
        f"""select count(distinct (invoice, stock_code, description, quantity, invoice_ts, price)),
        count(distinct invoice), count(distinct customer_id), count(distinct upper(trim(stock_code))),
        count(distinct (upper(trim(stock_code)), invoice_ts::date)) {within} and {clean}"""
    ).fetchall()[0]
    total = duckdb.sql(f"select count(*) {within}").fetchall()[0][0]
    assert (events.rows_in, products.rows_good) == (total, days)
    assert events.rows_good == lines - events.reasons.get("outlier:price", 0)
    reasons = "cancelled null:customer_id duplicate pattern:product_id range:price range:quantity outlier:price"
    assert set(events.reasons) <= set(reasons.split())
    assert decide_quarantine(events, source.table("events")).ok
    assert duckdb.sql(
        f"""select count(distinct session_id), count(distinct customer_id), count(distinct product_id)
        from '{settings.lake}/events/*/part.parquet'"""
    ).fetchall() == [(invoices, customers, goods)]


@REAL
@pytest.mark.skipif(not os.environ.get("ML_ASSETS_SLOW"), reason="the whole file: set ML_ASSETS_SLOW=1")
def test_all_of_online_retail(tmp_path):
    settings, source = real_shop(tmp_path, FILE)
    start, end = source.calendar.start, source.calendar.end
    ingest(source, "products", settings, start, end)
    report = ingest(source, "events", settings, start, end)
    assert (report.rows_in, report.rows_good) == (1_044_847, 776_576)
    assert report.reasons == {
        "null:customer_id": 234_568, "cancelled": 19_165, "duplicate": 11_610, "pattern:product_id": 2_867,
        "range:price": 60, "outlier:price": 1,
    }  # fmt: skip
